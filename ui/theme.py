"""How the page looks: colours and sizes. System fonts only, so that no font is ever fetched."""

import gradio as gr

from ui.train_style import TRAIN_CSS

_FONTS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif'
_MONO = 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace'

_SETTINGS = {
    "body_background_fill": "#f7f8f8",
    "body_background_fill_dark": "#121415",
    "block_background_fill": "white",
    "block_background_fill_dark": "#1a1d1f",
    "block_border_color": "#e1e4e5",
    "block_border_color_dark": "#2c3134",
    "block_shadow": "none",
    "body_text_color_subdued": "#5b6469",
    "body_text_color_subdued_dark": "#98a2a7",
    "button_large_text_size": "*text_md",
    "button_large_text_weight": "600",
    "block_label_border_width": "0px",
    "block_label_text_color": "#4b5357",
    "block_label_text_color_dark": "#b4bcc0",
    "block_title_text_weight": "600",
    "block_title_text_color": "*body_text_color",
    "block_title_text_color_dark": "*body_text_color",
    "input_border_width": "1px",
    "input_border_width_dark": "1px",
    "block_info_text_color": "#5b6469",
    "block_info_text_color_dark": "#98a2a7",
    "input_background_fill": "#fbfcfc",
    "input_background_fill_dark": "#14171a",
    "input_border_color": "#cdd3d5",
    "input_border_color_dark": "#3a4146",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "button_primary_text_color": "white",
    "button_secondary_background_fill": "#e8ebec",
    "button_secondary_background_fill_hover": "#dde1e3",
    "button_secondary_background_fill_dark": "#2b3033",
    "button_secondary_background_fill_hover_dark": "#363c40",
}


def create_theme() -> gr.themes.Base:
    """Teal on neutral grey, for light and dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_md,
        font=[gr.themes.Font("sans-serif")],
        font_mono=[gr.themes.Font("monospace")],
    ).set(**_SETTINGS)


_OUTLINE = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 200' fill='none' stroke='white' stroke-opacity='.8' "
    "stroke-width='2' stroke-dasharray='5 4'%3E%3Ccircle cx='50' cy='22' r='13'/%3E%3Cpath d='M50 37c-15 0-22 6-25 16"
    "L12 100l8 3 12-34 2 42-6 80h14l8-66 8 66h14l-6-80 2-42 12 34 8-3-13-47c-3-10-10-16-25-16z'/%3E%3C/svg%3E"
)
"""A person as large as one should stand before the camera."""

CSS = f"""
:root, .gradio-container {{ --font: {_FONTS}; --font-mono: {_MONO}; font-family: {_FONTS}; }}
.gradio-container {{ width: 100%; max-width: 1120px !important; margin: 0 auto !important; }}
.gradio-container > .main {{ padding: 16px clamp(12px, 3vw, 32px); }}
footer {{ display: none !important; }}
.gradio-container .block:has(> .html-container > .prose:empty) {{ display: none; }}
#person-prepared img, #background-prepared img {{ width: 100%; height: 100%; object-fit: contain; }}
#pose-drawing video, #pose-view video, #clip video, #preview-draft video {{ width: 100%; height: 100%; object-fit: contain; }}
/* Trimming would fetch a program from the internet, and the page would not hear of it. */
#pose-recording button[aria-label="Trim video to selection"] {{ display: none; }}
#pose-recording button[aria-label="Reset video to initial value"] {{ display: none; }}
.tab-container button.selected {{ color: var(--primary-700) !important; font-weight: 600; }}
.dark .tab-container button.selected {{ color: var(--primary-300) !important; }}
.gradio-container .html-container {{ padding: 0 !important; }}
.aa-head h1 {{ font-size: 1.6rem; font-weight: 700; margin: 0; letter-spacing: -0.01em; }}
.aa-head p {{ margin: 2px 0 0; color: var(--block-info-text-color); }}
.aa-model {{ display: flex; flex-wrap: wrap; gap: 2px 10px; align-items: baseline; font-size: 0.875rem;
  border-left: 3px solid var(--primary-600); padding: 2px 0 2px 12px; }}
.aa-model p {{ margin: 0; color: var(--body-text-color-subdued); }}
.aa-model p b {{ color: var(--body-text-color); font-weight: 600; }}
.aa-chip {{ font-weight: 600; color: var(--body-text-color); white-space: nowrap; }}
.aa-chip-busy {{ color: var(--primary-600); }}
.aa-message {{ border-radius: 8px; padding: 8px 12px; font-size: 0.9rem; line-height: 1.45; overflow-wrap: anywhere;
  border: 1px solid transparent; }}
.aa-info {{ background: #eaf1f6; border-color: #cfdfe9; color: #213a49; }}
.aa-good {{ background: #e6f5f0; border-color: #c2e4d8; color: #12493a; }}
.aa-warning {{ background: #fdf3dc; border-color: #f0dcae; color: #5f4307; }}
.aa-error {{ background: #fdeae8; border-color: #f3c6c1; color: #7c1d13; }}
.dark .aa-info {{ background: #16242e; border-color: #2a3f4d; color: #c6dae6; }}
.dark .aa-good {{ background: #10281f; border-color: #1f4a3a; color: #b6e3d2; }}
.dark .aa-warning {{ background: #2c230d; border-color: #54431a; color: #f0d99b; }}
.dark .aa-error {{ background: #331512; border-color: #5d2a24; color: #f6beb6; }}
.aa-progress-text {{ display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; font-size: 0.9rem;
  margin-bottom: 6px; }}
.aa-progress-text span {{ color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }}
.aa-bar {{ height: 8px; border-radius: 4px; overflow: hidden; background: var(--border-color-primary); }}
.aa-bar i {{ display: block; height: 100%; background: var(--primary-600); transition: width 0.4s linear; }}
.aa-busy i {{ width: 30% !important; animation: aa-slide 1.4s ease-in-out infinite; }}
@keyframes aa-slide {{ from {{ margin-left: -30%; }} to {{ margin-left: 100%; }} }}
@media (prefers-reduced-motion: reduce) {{ .aa-busy i {{ animation: none; width: 100% !important; opacity: 0.5; }} }}
.aa-facts {{ display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; font-size: 0.9rem; }}
.aa-facts dt {{ color: var(--body-text-color-subdued); }}
.aa-facts dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
.aa-notes {{ margin: 6px 0 0; padding-left: 1.2em; font-size: 0.875rem; color: var(--body-text-color-subdued);
  list-style: disc; }}
.aa-plan strong {{ font-size: 1rem; }}
.aa-hint {{ color: var(--block-info-text-color); font-size: 0.9rem; }}
.gradio-container .aa-strip {{ flex-wrap: wrap; align-items: center; background: var(--block-background-fill);
  border-radius: 8px; padding: 14px 16px; border: 1px solid var(--block-border-color); }}
.aa-strip > .block {{ flex: 1 1 240px; }}
.aa-strip > button {{ flex: 0 1 270px; }}
.aa-strip h2, .aa-strip p {{ margin: 0; }}
.aa-strip h2 {{ font-size: 1.05rem; font-weight: 600; }}
.aa-column-title h2 {{ font-size: 1.05rem; font-weight: 600; margin: 0; }}
.aa-check-strip {{ position: relative; cursor: pointer; height: 56px; border-radius: 4px; overflow: hidden; }}
.aa-check-strip img {{ width: 100%; height: 100%; display: block; margin: 0 !important; }}
.aa-cursor {{ position: absolute; top: 0; bottom: 0; left: 0; width: 2px; margin-left: -1px; pointer-events: none;
  background: #1b1f22; box-shadow: 0 0 0 1px rgba(255, 255, 255, 0.7); }}
.aa-keys {{ display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 4px; font-size: 0.8rem;
  color: var(--body-text-color-subdued); }}
.aa-keys b {{ font-weight: 500; margin-right: auto; }}
.aa-keys i {{ display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }}
#pose-recording {{ position: relative; }}
#pose-recording:has(video[data-testid="webcam-video"]:not(.hide))::after {{ content: ""; position: absolute; z-index: 1;
  inset: 8px 0 52px; pointer-events: none; background: center / contain no-repeat url("data:image/svg+xml,{_OUTLINE}"); }}
.aa-countdown {{ position: absolute; inset: 0; z-index: 2; display: grid; place-items: center; pointer-events: none;
  font-size: 7rem; font-weight: 700; color: white; text-shadow: 0 2px 14px rgba(0, 0, 0, 0.7); }}
.aa-people {{ display: flex; flex-wrap: wrap; gap: 8px; }}
.aa-person {{ display: grid; gap: 4px; justify-items: center; padding: 6px; border-radius: 8px; cursor: pointer; font-size: 0.8rem;
  border: 2px solid var(--block-border-color); background: var(--block-background-fill); color: var(--body-text-color); }}
.aa-person img {{ height: 96px; max-width: 140px; object-fit: contain; margin: 0 !important; border-radius: 4px; }}
.aa-person[aria-pressed="true"] {{ border-color: var(--primary-600); font-weight: 600; }}
.gradio-container .aa-finding {{ border-radius: 8px; padding: 8px 12px; margin: 0 0 8px; border: 1px solid transparent;
  font-size: 0.9rem; line-height: 1.45; }}
.aa-finding p {{ margin: 0 0 6px; color: inherit; }}
.aa-finding b {{ color: inherit; }}
.aa-finding button, .aa-tools button {{ margin: 0 !important; }}
.aa-finding div, .aa-tools {{ display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }}
.aa-tools {{ margin: 4px 0 8px; }}
.aa-chip-frame, .aa-repair {{ font-size: 0.85rem; padding: 3px 10px; border-radius: 6px; cursor: pointer; min-height: 28px; }}
.aa-chip-frame {{ background: transparent; border: 1px solid currentColor; color: inherit; opacity: 0.85; }}
.aa-repair {{ background: var(--button-secondary-background-fill); color: var(--body-text-color);
  border: 1px solid var(--input-border-color); font-weight: 600; }}
.aa-finding .aa-repair {{ background: var(--block-background-fill); }}
.aa-repair:hover, .aa-chip-frame:hover {{ border-color: var(--primary-600); }}
.aa-repair:focus-visible, .aa-chip-frame:focus-visible {{ outline: 2px solid var(--primary-600); outline-offset: 1px; }}
"""
CSS += TRAIN_CSS
