"""Updates of widgets that more than one tab makes."""

import gradio as gr


def button(widget: gr.Button, interactive: bool, visible: bool = True) -> dict:
    """Update for a button. Its text is repeated: Gradio forgets it when a page that was not open yet is updated."""
    return gr.update(value=widget.value, interactive=interactive, visible=visible)
