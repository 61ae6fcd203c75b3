"""Memory and time of the epipolar loss: `python -m tests.benchmarks.epipolar_loss`.

On the CPU: the chunked way against dense autograd at 1 head x 4,320 tokens with every row (aims: a fifth of the extra
memory or less, time no worse), and the chunked way's memory at three sizes with the same number of rows (aim: linear).
On a CUDA GPU: 48 heads x 24,480 tokens beside plain attention; every row with Triton, an eighth of them both ways.
"""

import argparse
import ctypes
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_loss import epipolar_loss
from animateanywhere.epipolar_rows import AllowedByLines, QueryRows, systematic_sample
from animateanywhere.models.attention_probe import KeyLayout

MEGABYTE = 1e6


def case(layout: KeyLayout, num_rows: int, num_heads: int, width: int, device: str, dtype: torch.dtype):
    """Random queries, keys and nine random lines per row and frame: as many as three sub-poses make."""
    torch.manual_seed(0)
    frames, height, columns = layout.token_shape
    tokens = systematic_sample(layout.num_video, num_rows, 0.5)
    angle = 6.28 * torch.rand(num_rows, frames, 9)
    a, b = angle.cos(), angle.sin()
    lines = torch.stack([a, b, -a * columns * torch.rand_like(a) - b * height * torch.rand_like(a)], -1)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    region = AllowedByLines(lines, torch.stack([x.flatten(), y.flatten()], 1), 0.5**0.5)
    rows = QueryRows(tokens, torch.full((num_rows,), 1 / num_rows), layout.token_shape, region).to(device)
    query = torch.randn(num_heads, num_rows, width, device=device, dtype=dtype, requires_grad=True)
    key = torch.randn(num_heads, layout.num_keys, width, device=device, dtype=dtype, requires_grad=True)
    return query, key, rows


def step(query, key, rows, layout, config) -> torch.Tensor:
    """Value and gradients of one layer's loss."""
    query.grad = key.grad = None
    loss = epipolar_loss(query, key, rows, layout, config).loss
    loss.backward()
    return loss.detach()


def resident_mb(line: str) -> float:
    status = Path("/proc/self/status").read_text()
    return float(status.split(line + ":")[1].split()[0]) * 1024 / MEGABYTE


def extra_cpu_mb(work: Callable[[], object]) -> float:
    """How far the process's resident memory rises above its start while `work` runs (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest resident size so far
    work()
    return resident_mb("VmHWM") - before


def cpu_table(repeats: int) -> None:
    layout = KeyLayout(0, (6, 24, 30), 0)
    print(f"1 head x {layout.num_video} tokens, every row, width 64, float32, {torch.get_num_threads()} threads")
    print("| delta | tier | extra memory MB | CPU s | wall s | loss |\n|---|---|---|---|---|---|")
    query, key, rows = case(layout, layout.num_video, 1, 64, "cpu", torch.float32)
    numbers = {}
    for scope, tier in itertools.product(("row", "map"), ("chunked", "dense")):
        config = EpipolarConfig(tier=tier, scope=scope, threshold_keys=0)
        step(query, key, rows, layout, config)
        query.grad = key.grad = None
        memory = extra_cpu_mb(lambda config=config: step(query, key, rows, layout, config))
        cpu, wall = [], []
        for _ in range(repeats):
            started, cpu_started = time.perf_counter(), time.process_time()
            loss = step(query, key, rows, layout, config)
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - cpu_started)
        numbers[scope, tier] = memory, statistics.median(cpu), statistics.median(wall)
        m, c, w = numbers[scope, tier]
        print(f"| {scope} | {tier} | {m:.1f} | {c:.2f} | {w:.2f} | {float(loss):.8f} |")
    for scope in ("row", "map"):
        dense, chunked = numbers[scope, "dense"], numbers[scope, "chunked"]
        print(
            f"{scope}: chunked takes 1/{dense[0] / chunked[0]:.1f} of dense's memory, "
            f"{chunked[1] / dense[1]:.2f} of its CPU time, {chunked[2] / dense[2]:.2f} of its wall time"
        )


def growth_table() -> None:
    num_rows = 540
    print(f"\nchunked, 1 head, {num_rows} rows\n| tokens | extra memory MB | KB per token |\n|---|---|---|")
    for frames in (6, 12, 24):
        layout = KeyLayout(0, (frames, 24, 30), 0)
        query, key, rows = case(layout, num_rows, 1, 64, "cpu", torch.float32)
        config = EpipolarConfig(tier="chunked")
        step(query, key, rows, layout, config)
        query.grad = key.grad = None
        memory = extra_cpu_mb(lambda q=query, k=key, r=rows, g=layout, c=config: step(q, k, r, g, c))
        print(f"| {layout.num_video} | {memory:.1f} | {1000 * memory / layout.num_video:.2f} |")


def cuda_ms(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """(milliseconds, extra gigabytes) of `work`, median after one warm-up."""
    work()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times), (torch.cuda.max_memory_allocated() - before) / 1e9


def cuda_table(repeats: int) -> None:
    layout = KeyLayout(226, (6, 48, 85), 4080)
    print(
        f"\n{torch.cuda.get_device_name()}: 48 heads x {layout.num_video} video tokens, {layout.num_keys} keys, bfloat16"
    )
    print("| what | rows | ms | extra GB |\n|---|---|---|---|")
    shape = (1, 48, layout.num_keys, 64)
    query, key, value = (torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    output_gradient = torch.randn(shape, device="cuda", dtype=torch.bfloat16)

    def attention(backward):
        with torch.set_grad_enabled(backward):
            out = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        if backward:
            out.backward(output_gradient)

    for backward in (False, True):
        ms, memory = cuda_ms(lambda backward=backward: attention(backward), repeats)
        print(f"| attention forward{'+backward' if backward else ''} | {layout.num_keys} | {ms:.1f} | {memory:.2f} |")
    for share, tiers in ((1, ("triton",)), (8, ("chunked", "triton"))):
        num_rows = layout.num_video // share
        loss_query, loss_key, rows = case(layout, num_rows, 48, 64, "cuda", torch.bfloat16)
        for tier in tiers:
            config = EpipolarConfig(tier=tier)
            ms, memory = cuda_ms(lambda q=loss_query, k=loss_key, r=rows, c=config: step(q, k, r, layout, c), repeats)
            print(f"| loss and gradients, {tier} | {num_rows} | {ms:.1f} | {memory:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; torch's own choice unless given")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}")
    cpu_table(args.repeats)
    growth_table()
    if torch.cuda.is_available():
        cuda_table(args.repeats)
    else:
        print("\nno CUDA GPU: the table of 48 heads x 24,480 tokens was left out")


if __name__ == "__main__":
    main()
