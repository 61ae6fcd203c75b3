"""How the Train page looks, beside what all pages share."""

TRAIN_CSS = """
.aa-curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: 12px; }
.aa-curve { margin: 0; background: var(--block-background-fill); border: 1px solid var(--block-border-color);
  border-radius: 8px; padding: 8px 10px; }
.aa-curve figcaption { display: flex; justify-content: space-between; font-size: 0.9rem; }
.aa-curve figcaption span { font-variant-numeric: tabular-nums; }
.aa-curve small { color: var(--body-text-color-subdued); }
.aa-curve svg { display: block; width: 100%; height: auto; }
.aa-curve line { stroke: var(--block-border-color); stroke-width: 1; }
.aa-curve text { fill: var(--body-text-color-subdued); font-size: 11px; }
.aa-curve polyline { fill: none; stroke: var(--primary-600); stroke-width: 2; stroke-linejoin: round; }
.aa-curve polygon { fill: var(--primary-600); fill-opacity: 0.16;  stroke: var(--primary-600); stroke-opacity: 0.3; }
.aa-curve circle { fill: var(--primary-600); }
.aa-status { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline; margin-bottom: 6px; }
#run-status .aa-facts, #run-status .aa-message { margin-top: 10px; }
.aa-badge { border-radius: 999px; padding: 1px 10px; font-size: 0.85rem; font-weight: 600;
  background: var(--border-color-primary); }
.aa-badge-running, .aa-badge-starting, .aa-badge-stopping { background: var(--primary-600); color: white; }
.aa-badge-failed, .aa-badge-dead { background: #a33225; color: white; }
.aa-badge-finished { background: #1f7a5c; color: white; }
.aa-scroll { overflow-x: auto; }
.aa-samples { border-collapse: collapse; font-size: 0.875rem; }
table.aa-samples tr, table.aa-samples th, table.aa-samples td { border: none; }
.aa-samples th, .aa-samples td { padding: 4px 8px 4px 0; text-align: left; vertical-align: middle; font-weight: 400; }
.aa-samples th b { font-weight: 600; }
.aa-samples video, .aa-samples img { display: block; width: 200px; max-width: 44vw; border-radius: 4px; image-rendering: auto; }
.aa-attention figure { margin: 0 0 16px; }
/* Its words are small: on a narrow screen it is moved sideways rather than made smaller. */
.gradio-container .aa-attention img { width: 100%; min-width: 900px; max-width: none; border-radius: 6px; display: block; }
.aa-attention figcaption { font-size: 0.875rem; margin-bottom: 4px; }
.gradio-container table.aa-table, .gradio-container table.aa-samples { border: none !important; }
.aa-table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
.aa-table th { text-align: left; font-weight: 600; color: var(--body-text-color-subdued); }
table.aa-table tr, table.aa-table th, table.aa-table td { border: none; }
table.aa-table th, table.aa-table td { padding: 5px 12px 5px 0; vertical-align: top;
  border-bottom: 1px solid var(--block-border-color); }
.aa-table td.aa-number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.gradio-container .aa-table img { width: 240px; max-width: 48vw; border-radius: 4px; display: block; margin: 0; }
.aa-table tr.aa-off td { color: var(--body-text-color-subdued); }
@media (max-width: 640px) {
  /* Gradio puts its own container before every selector in here: none of ours may name it. */
  table.aa-clips tr:first-child { display: none; }
  table.aa-clips tr { display: block; border-bottom: 1px solid var(--block-border-color); padding: 8px 0; }
  table.aa-clips tr td { display: block; border: none; padding: 1px 0; }
  table.aa-clips td img { width: 100%; max-width: 100%; }
}
.aa-log { white-space: pre-wrap; overflow-wrap: anywhere; font-family: var(--font-mono); font-size: 0.78rem; margin: 0;
  max-height: 260px; overflow-y: auto; background: var(--block-background-fill); border: 1px solid var(--block-border-color);
  border-radius: 8px; padding: 8px 10px; }
"""
