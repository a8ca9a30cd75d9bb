"""Quality tables, one command each: `python3 -m feedmesh.evaluate ml-1m|kuairand|events|gact`."""
import argparse
from pathlib import Path

import torch


MODELS = "sasrec,mesh,mesh-semantic"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="feedmesh.evaluate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (("ml-1m", "next item on MovieLens-1M, full ranking"), ("events", "next item on any events.tsv, full ranking")):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--data", type=Path, required=True, help="the folder of the data set" if name == "ml-1m" else "a .tsv or .tsv.xz with user, item, time, [action]")
        command.add_argument("--models", help=f"rows of the table, by comma (default {MODELS}); not with --cold, which has its own")
        command.add_argument("--epochs", type=_positive, help="instead of each model's own number")
        command.add_argument("--as-is", action="store_true", help="train nothing: take the checkpoints as they are")
        command.add_argument("--cold", action="store_true", help="the table of new items instead")
    kuairand = commands.add_parser("kuairand", help="the ranker on KuaiRand-Pure against smoothed rates, by time")
    kuairand.add_argument("--data", type=Path, required=True, help="the folder of the data set")
    kuairand.add_argument("--seeds", type=int, default=3)
    gact = commands.add_parser("gact", help="GACT against plain attention: quality, step time, memory")
    gact.add_argument("--lengths", default="800,2000")
    gact.add_argument("--folds", default="1,2,4,6")
    gact.add_argument("--seeds", type=_positive, default=3)
    gact.add_argument("--steps", type=_positive, default=300)
    for command in commands.choices.values():
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--out", type=Path, help="folder of checkpoints and tables (default ../artifacts/evaluate/<command>)")
        command.add_argument("--json", type=Path, help="a second place for the JSON")
        command.add_argument("--threads", type=_positive, help="CPU threads (default: OMP_NUM_THREADS, else all cores)")
    options = parser.parse_args(arguments)
    if options.command in ("ml-1m", "events") and options.cold and options.models:
        parser.error("--cold compares three models of its own: leave --models out.")
    if options.threads:
        torch.set_num_threads(options.threads)
    out = options.out or Path(__file__).resolve().parents[3] / "artifacts" / "evaluate" / options.command
    if options.command in ("ml-1m", "events"):
        from .next_item_tasks import run_events, run_ml1m
        run = run_ml1m if options.command == "ml-1m" else run_events
        run(options.data, out, options.json, (options.models or MODELS).split(","), options.seed, options.epochs, options.cold, options.as_is)
    elif options.command == "kuairand":
        from .kuairand_task import run_kuairand
        run_kuairand(options.data, out, options.json, options.seed, options.seeds)
    else:
        from .gact_task import run_gact
        run_gact(options, out)


if __name__ == "__main__":
    main()
