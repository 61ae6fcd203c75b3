"""The tabs in order, and what happens between them and when the page opens."""

from collections.abc import Iterator

import gradio as gr

from ui.api import add_api
from ui.epipolar_tab import SCENE_EVENT, EpipolarTab, create_epipolar_tab
from ui.events import CHOICE, LATEST, QUIET, ask_browser, create_visitor, never_empty
from ui.fragments import model_card
from ui.generate_tab import SHOW_CLIP, GenerateTab, create_generate_tab
from ui.people_tab import PeopleTab, create_people_tab, wire_scene
from ui.pose_tab import FACTS_EVENT, PoseTab, create_pose_tab, first_task
from ui.preview_tab import create_preview_tab, follow_preview, wire_preview
from ui.services import Services
from ui.train_tab import PAGE, TrainTab, create_train_tab

_TITLE = (
    "<div class='aa-head'><h1>AnimateAnywhere</h1>"
    "<p>A person, a place and a movement become a video whose background moves along.</p></div>"
)


def build_pages(services: Services) -> gr.Blocks:
    """All pages, wired. Nothing is loaded yet: the caller starts `services.shelf` once the server answers."""
    with gr.Blocks(title="AnimateAnywhere", analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        add_api(services)  # first: its endpoints have the names that outsiders use
        visitor, pose, ready = create_visitor(), gr.State(first_task()), gr.State(False)
        gr.HTML(_TITLE)
        card = gr.HTML(model_card(services.shelf.view()), elem_id="model")
        with gr.Tabs(elem_id="pages", overflow_behavior="wrap") as tabs:
            with gr.Tab("People & Background", id="people"):
                people = create_people_tab(services, pose, ready)
            with gr.Tab("Pose", id="pose"):
                poses = create_pose_tab(services, visitor, pose, ready, people.person.used)
            with gr.Tab("Preview", id="preview"):
                drafts = create_preview_tab(services, visitor)
            with gr.Tab("Generate", id="generate"):
                beside = [people.pictures, poses.plan, people.example_button, poses.panel.strength]
                clips = create_generate_tab(services, visitor, pose, ready, *beside)
            with gr.Tab("Attention & Epipolar", id="epipolar") as epipolar_page:
                epipolar = create_epipolar_tab(services, visitor)
            if services.settings.training:
                with gr.Tab(PAGE, id="train"):
                    train = create_train_tab(services, visitor, [*people.pictures, pose])
        _wire_pages(tabs, people, poses, clips)
        wire_scene(people, poses.found, poses.following, poses.panel.strength, ready)
        wire_preview(drafts, clips, people.pictures, pose, tabs)
        follow_preview(app, drafts)
        _wire_epipolar(app, epipolar_page, epipolar)
        changed = _wire_training(app, tabs, train) if services.settings.training else []
        _wire_model(app, services, card, ready, changed)
        _wire_jobs(app, poses, clips)
    ask_browser(app, visitor)
    return app


def _wire_pages(tabs: gr.Tabs, people: PeopleTab, poses: PoseTab, clips: GenerateTab) -> None:
    """Buttons that lead from one page to another."""

    def open_page(name: str):
        return lambda: gr.Tabs(selected=name)

    people.next_button.click(open_page("pose"), None, tabs, **QUIET)
    poses.next_button.click(open_page("generate"), None, tabs, **QUIET)
    people.example_button.click(open_page("generate"), None, tabs, **QUIET).then(
        clips.submit_example, clips.visitor, [clips.running, clips.note], **CHOICE
    )
    people.example_button.click(None, js=SHOW_CLIP, **QUIET)
    poses.following.change(lambda person: person, poses.following, clips.settings["person"], **QUIET, **LATEST)


def _wire_epipolar(app: gr.Blocks, page: gr.Tab, epipolar: EpipolarTab) -> None:
    """The page shows what was made meanwhile, and finds a job of its own again."""
    opened = ([epipolar.offered, *epipolar.page_inputs], epipolar.scene_outputs)
    page.select(epipolar.open_page, *opened, **SCENE_EVENT, **LATEST)
    # Also after loading: a tab that is opened before the page stands may be missed.
    found = app.load(epipolar.attach, epipolar.visitor, [*epipolar.job_outputs, epipolar.offered], **QUIET)
    found.then(epipolar.open_page, *opened, **SCENE_EVENT)


def _wire_training(app: gr.Blocks, tabs: gr.Tabs, train: TrainTab) -> list:
    """A model that is to be used leads to Generate. Returns the events after which the model may be another one."""
    train.use.used.change(lambda: gr.Tabs(selected="generate"), None, tabs, **QUIET)
    tabs.select(train.on_page, train.shown, list(train.timers.values()), **QUIET)
    app.load(train.use.attach, train.use.visitor, train.use.compared, **QUIET)
    return [train.use.used.change, train.start.started.change]


def _wire_model(app: gr.Blocks, services: Services, card: gr.HTML, ready: gr.State, changed: list) -> None:
    """Say how the model stands, and when loading it has ended: what depends on that listens to `ready`."""

    @never_empty
    def watch_model() -> Iterator[dict]:
        while services.shelf.view().state in ("idle", "loading"):
            yield {card: model_card(services.shelf.view())}
            services.shelf.wait(1.0)
        view = services.shelf.view()
        yield {card: model_card(view), ready: f"{view.name} {view.state}"}

    gr.on([app.load, *changed], watch_model, None, [card, ready], **QUIET)


def _wire_jobs(app: gr.Blocks, poses: PoseTab, clips: GenerateTab) -> None:
    """Jobs are followed from the moment they are asked for, and again when the page is opened while they run."""
    started = [app.load, clips.running.change]
    gr.on(started, clips.follow, [clips.visitor, clips.running], clips.shown, **QUIET, **LATEST)
    app.load(poses.on_open, [poses.visitor, poses.asked], poses.chosen, **CHOICE)
    started = [app.load, poses.running.change]
    search = gr.on(started, poses.follow, [poses.visitor, poses.running], poses.followed, **QUIET, **LATEST)
    search.then(poses.show_answer, *poses.answering(poses.searched), **CHOICE)
    search.then(poses.tell_source, poses.asked, [poses.facts, poses.extract_button], **FACTS_EVENT)
