"""The child program of `LocalModel`: one model file behind llama.cpp's own server, on a free loopback port.

It says one line of JSON with its address, then waits. It ends when its standard input does: with its parent.
"""

import argparse
import importlib
import json
import os
import threading
from collections.abc import Callable
from typing import Any

from forethought.privacy import keep_private

KEY_VARIABLE = "FORETHOUGHT_CHILD_KEY"


def main(tune: Callable[[Any], None] = lambda _: None) -> None:
    """Serve until the parent ends. `tune` may change the parameters of llama.cpp: benchmarks do."""
    options = _options()
    keep_private([KEY_VARIABLE])
    key = os.environ.pop(KEY_VARIABLE)
    # Native code prints what it likes to fd 1. Only our one line may go there.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as protocol:
        os.dup2(2, 1)
        waiting = threading.Thread(target=_end_with_parent, daemon=True)
        waiting.start()
        # Where this fails the program has to end by itself: on its way out llama.cpp says what is left in its log.
        server = _serve(options, key, tune)
        print(json.dumps({"base_url": f"{server.listening_address}/v1"}), file=protocol, flush=True)
    waiting.join()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m forethought.models.child")
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="local")
    parser.add_argument("--threads", type=int, default=1, help="for reading and for writing")
    parser.add_argument("--kept", default="", help="the folder for what is kept of prompts")
    return parser.parse_args()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # the server has no close(): the process is the close()


def _serve(options: argparse.Namespace, key: str, tune: Callable[[Any], None]) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")  # an optional extra, without type stubs
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name}
    params.n_ctx = 8192
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.offline = True
    params.enable_reasoning = 0  # answers are bounded: a model that thinks aloud would not come to its answer
    params.slot_save_path = f"{options.kept}/" if options.kept else ""
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.verbosity = 1  # errors only: the parent keeps what is said
    tune(params)
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
