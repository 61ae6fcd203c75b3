"""Recording oneself: a camera picture with a guide, a count-down, and words for a camera that does not work."""

from typing import NamedTuple

import gradio as gr

_CAMERA = {"video": {"width": {"ideal": 960}, "height": {"ideal": 720}, "frameRate": {"ideal": 30, "max": 30}}}
"""Detectors see no more than this; larger recordings lose frames on slow machines."""

_CONTROLS = """
<div class="aa-tools"><button type="button" class="aa-repair" id="pose-countdown">Count down and record</button>
<select class="aa-repair" aria-label="Seconds to count down"><option value="3">after 3 s</option>
<option value="5" selected>after 5 s</option><option value="10">after 10 s</option></select>
<select class="aa-repair" aria-label="Seconds to record"><option value="3">for 3 s</option>
<option value="6" selected>for 6 s</option><option value="12">for 12 s</option></select></div>
<p class="aa-hint">Step back until your whole body is inside the outline. No sound is recorded, nothing leaves this machine.</p>
<div role="alert" id="pose-camera-note" class="aa-message aa-error" hidden></div>
"""

_SCRIPT = """
const box = () => document.querySelector("#pose-recording");
const title = (words) => box()?.querySelector(`[title="${words}"]`)?.closest("button, div[title='grant webcam access']");
const button = element.querySelector("#pose-countdown"), note = element.querySelector("#pose-camera-note");
const [wait, length] = element.querySelectorAll("select");
const label = button.textContent;
const again = 'press "Click to Access Webcam" again', instead = "or record with a phone and upload the video.";
const reasons = {
    NotAllowedError: "The browser did not allow the camera. Allow it with the camera sign beside the page's address, "
        + `then ${again}, ${instead}`,
    NotFoundError: `No camera was found. Connect one and ${again}, ${instead}`,
    NotReadableError: "The camera cannot be read: another program may be using it. "
        + `Close that program and ${again}, ${instead}`,
    Unsafe: "This browser gives the camera only to pages of this machine or with https. "
        + `Open the page as http://127.0.0.1 on the machine it runs on, ${instead}`,
};
const say = (text) => { note.textContent = text; note.hidden = !text; };
const media = navigator.mediaDevices;
if (!media?.getUserMedia) say(reasons.Unsafe);
else if (!media.animateAnywhereAsks) {
    const ask = media.getUserMedia.bind(media);
    media.getUserMedia = (wishes) => ask(wishes).then(
        (stream) => { media.animateAnywhereAsks(""); return stream; },
        (error) => {
            const other = `The camera does not start (${error.name}). Try another one, ${instead}`;
            media.animateAnywhereAsks(reasons[error.name] ?? other);
            throw error;
        });
}
if (media) media.animateAnywhereAsks = say;

let timer = null, number = null;
const stop = () => { clearTimeout(timer); timer = null; number?.remove(); button.textContent = label; };
const later = (seconds, next) => { timer = setTimeout(next, 1000 * seconds); };
const count = (left) => {
    if (!title("start recording")) return stop();
    if (left > 0) { number.textContent = left; return later(1, () => count(left - 1)); }
    number.remove();
    title("start recording").click();
    button.textContent = "Recording …";
    later(+length.value, () => { title("stop recording")?.click(); stop(); });
};
const begin = (tries) => {
    if (title("start recording")) {
        number = Object.assign(document.createElement("div"), {className: "aa-countdown"});
        number.setAttribute("role", "timer");
        box().append(number);
        return count(+wait.value);
    }
    if (!tries || !note.hidden) return stop();
    later(0.25, () => begin(tries - 1));
};
button.addEventListener("click", () => {
    if (timer !== null) {
        if (title("stop recording")) title("stop recording").click();
        return stop();
    }
    say(media?.getUserMedia ? "" : reasons.Unsafe);
    button.textContent = "Stop";
    title("grant webcam access")?.querySelector("button")?.click();
    begin(80);
});
"""


class Webcam(NamedTuple):
    """What a recording comes from."""

    recording: gr.Video
    controls: gr.HTML


def create_webcam() -> Webcam:
    """Lay out the camera's picture and what belongs to it. All of its behaviour is in the browser."""
    recording = gr.Video(
        label="Webcam",
        sources=["webcam"],
        include_audio=False,
        height=300,
        buttons=[],
        webcam_options=gr.WebcamOptions(mirror=True, constraints=_CAMERA),
        elem_id="pose-recording",
    )
    return Webcam(recording, gr.HTML(_CONTROLS, js_on_load=_SCRIPT, elem_id="pose-camera"))
