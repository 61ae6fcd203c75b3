"""The page in a browser. Layout and wiring; the work is in `animateanywhere`.

Reading order: services.py (what tabs are given), jobs.py, people_tab.py, pose_tab.py, preview_tab.py, generate_tab.py,
epipolar_tab.py, train_tab.py, pages.py. What the tabs are made of: picture_editors.py (People & Background); webcam.py,
check_panel.py, pose_editor.py (Pose); preview_work.py (Preview); train_*.py, training_process.py (Train).
"""


def build_app(services):
    """The whole page as gr.Blocks, for `ui.services.Services`."""
    from ui.pages import build_pages  # Gradio reads the environment when imported: who starts the app sets that first

    return build_pages(services)
