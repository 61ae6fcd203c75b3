"""The tabs in order, and what happens between them and when the page opens."""

from collections.abc import Iterator

import gradio as gr

from animateanywhere import examples
from ui.api import add_api
from ui.epipolar_tab import SCENE_EVENT, EpipolarTab, create_epipolar_tab
from ui.fragments import model_card
from ui.generate_tab import KIND as CLIP
from ui.generate_tab import SHOW_CLIP, GenerateTab, create_generate_tab
from ui.people_tab import PICTURE_EVENT, PeopleTab, create_people_tab
from ui.pose_tab import KIND as POSE
from ui.pose_tab import PoseTab, create_pose_tab
from ui.pose_work import PoseTask
from ui.services import Services, new_visitor

_TITLE = (
    "<div class='aa-head'><h1>AnimateAnywhere</h1>"
    "<p>A person, a place and a movement become a video whose background moves along.</p></div>"
)
_QUIET = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}


def build_pages(services: Services) -> gr.Blocks:
    """All pages, wired. Nothing is loaded yet: the caller starts `services.shelf` once the server answers."""
    with gr.Blocks(title="AnimateAnywhere", analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        add_api(services)  # first: its endpoints have the names that outsiders use
        # No secret: Gradio wants a key, and a new one at each start could not read what the browser kept from the last.
        visitor = gr.BrowserState(None, storage_key="animateanywhere-visitor", secret="animateanywhere")
        pose = gr.State(PoseTask(examples.POSE) if examples.POSE.is_file() else None)
        gr.HTML(_TITLE)
        card = gr.HTML(model_card(services.shelf.view()), elem_id="model")
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as tabs:
            with gr.Tab("People & Background", id="people"):
                people = create_people_tab(services, pose)
            with gr.Tab("Pose", id="pose"):
                poses = create_pose_tab(services, visitor, pose)
            with gr.Tab("Generate", id="generate"):
                clips = create_generate_tab(services, visitor, pose, people.pictures, poses.plan, people.example_button)
            with gr.Tab("Attention & Epipolar", id="epipolar") as epipolar_page:
                epipolar = create_epipolar_tab(services, visitor)
        _wire_pages(tabs, people, poses, clips)
        _wire_epipolar(app, epipolar_page, epipolar)
        _wire_start(app, services, visitor, card, people, poses, clips)
    return app


def _wire_pages(tabs: gr.Tabs, people: PeopleTab, poses: PoseTab, clips: GenerateTab) -> None:
    """Buttons that lead from one page to another."""

    def open_page(name: str):
        return lambda: gr.Tabs(selected=name)

    people.next_button.click(open_page("pose"), None, tabs, **_QUIET)
    poses.next_button.click(open_page("generate"), None, tabs, **_QUIET)
    people.example_button.click(open_page("generate"), None, tabs, **_QUIET).then(
        clips.generate_example, clips.visitor, clips.shown, **_QUIET
    )
    people.example_button.click(None, js=SHOW_CLIP, **_QUIET)
    poses.person.change(lambda person: person or 0, poses.person, clips.settings["person"], **_QUIET)
    poses.pose.change(people.show_both, [*people.pictures, poses.pose], people.shown, **PICTURE_EVENT)


def _wire_epipolar(app: gr.Blocks, page: gr.Tab, epipolar: EpipolarTab) -> None:
    """The page shows what was made meanwhile, and finds a job of its own again."""
    opened = ([epipolar.offered, *epipolar.page_inputs], epipolar.scene_outputs)
    page.select(epipolar.open_page, *opened, **SCENE_EVENT)
    # Also after loading: a tab opened before the page stood may be missed, or come before the browser says who it is.
    found = app.load(epipolar.attach, epipolar.visitor, [*epipolar.job_outputs, epipolar.offered], **_QUIET)
    found.then(epipolar.open_page, *opened, **SCENE_EVENT)


def _wire_start(app, services: Services, visitor, card, people: PeopleTab, poses: PoseTab, clips: GenerateTab) -> None:
    """What happens when the page opens: say how the model stands, and find this visitor's running jobs again."""

    def watch_model() -> Iterator[dict]:
        while services.shelf.view().state in ("idle", "loading"):
            yield {card: model_card(services.shelf.view())}
            services.shelf.wait(1.0)
        yield {card: model_card(services.shelf.view())} | clips.show_ready()

    def attach_clip(known: str | None) -> Iterator[dict]:
        owner = known or new_visitor()
        yield {visitor: owner} | clips.show_clips(owner)
        job_id = services.runner.unfinished(owner, CLIP)
        if job_id is not None:
            yield from clips.follow(job_id, owner)

    def attach_pose(known: str | None) -> Iterator[dict]:
        job_id = services.runner.unfinished(known or "", POSE)
        if job_id is not None:
            yield from poses.follow(job_id)

    values = list(clips.settings.values())
    ready = app.load(watch_model, None, [card, clips.generate_button, *values], **_QUIET)
    ready.then(
        clips.show_plan, [*people.pictures, poses.pose, *values], [clips.plan, poses.plan], preprocess=False, **_QUIET
    )
    ready.then(people.show_both, [*people.pictures, poses.pose], people.shown, **PICTURE_EVENT)
    ready.then(poses.tell_source, poses.pose, poses.shown, **_QUIET).then(
        poses.show_source, poses.pose, poses.shown, **_QUIET
    )
    app.load(attach_clip, visitor, clips.shown, **_QUIET)
    app.load(attach_pose, visitor, poses.shown, **_QUIET)
