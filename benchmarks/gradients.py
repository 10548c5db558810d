"""How fast and how exact is part 1? Writes benchmarks/results/gradients.json.

    python benchmarks/gradients.py

Measured: one forward, backward and AdamW step of the chapters' model; training it to a loss below 0.01; the engine
against scalar nodes in the design of micrograd (Karpathy 2020), written anew below, on a perceptron 2-16-16-1 with 100
points; and the largest relative error of any gradient over the 200 configurations of the tests, against torch.
"""

import datetime
import gc
import itertools
import json
import math
import platform
import random
import statistics
import sys
import time
from pathlib import Path

from insideout.gradients import (
    Config,
    Node,
    adamw_step,
    backward,
    count_parameters,
    engine_gradients,
    forward,
    init_params,
    next_token_targets,
    relative_error,
)

HERE = Path(__file__).parent
SIZES = (2, 16, 16, 1)
CHAPTER = [Config(8, 6, width, 1, 2, 4 * width) for width in (8, 16)]
IDS = [0, 1, 2, 3, 1, 4]


class Value:
    """One number that knows where it came from: micrograd's design, recursion and all."""

    def __init__(self, data, children=()):
        self.data, self.grad = data, 0.0
        self._backward = lambda: None
        self._prev = set(children)

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other))

        def _backward():
            self.grad += out.grad
            other.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other))

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = _backward
        return out

    __radd__, __rmul__ = __add__, __mul__

    def relu(self):
        out = Value(max(self.data, 0.0), (self,))

        def _backward():
            self.grad += (out.data > 0) * out.grad

        out._backward = _backward
        return out

    def backward(self):
        order, visited = [], set()

        def build(node):
            if node not in visited:
                visited.add(node)
                for child in node._prev:
                    build(child)
                order.append(node)

        build(self)
        self.grad = 1.0
        for node in reversed(order):
            node._backward()


def perceptron():
    """(weights, biases, points, answers), the same for both engines."""
    rng = random.Random(0)
    weights = [
        [[rng.gauss(0, 1 / math.sqrt(n)) for _ in range(m)] for _ in range(n)] for n, m in itertools.pairwise(SIZES)
    ]
    biases = [[rng.gauss(0, 0.1) for _ in range(m)] for m in SIZES[1:]]
    points = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(100)]
    return weights, biases, points, [[math.sin(x) * y] for x, y in points]


def with_scalars(weights, biases, points, answers):
    """(loss, gradients of the weights) of the mean squared error, node by number."""
    w = [[[Value(n) for n in row] for row in matrix] for matrix in weights]
    b = [[Value(n) for n in vector] for vector in biases]
    total = Value(0.0)
    for point, (answer,) in zip(points, answers, strict=True):
        x = [Value(n) for n in point]
        for i, (matrix, vector) in enumerate(zip(w, b, strict=True)):
            x = [sum((row[j] * n for row, n in zip(matrix, x, strict=True)), start) for j, start in enumerate(vector)]
            if i < len(w) - 1:
                x = [n.relu() for n in x]
        error = x[0] + -answer
        total = total + error * error
    loss = total * (1.0 / len(points))
    loss.backward()
    return loss.data, [[[n.grad for n in row] for row in matrix] for matrix in w]


def with_matrices(weights, biases, points, answers):
    """The same with the engine of the library."""
    w, b = [Node(matrix) for matrix in weights], [Node(vector) for vector in biases]
    x = Node(points)
    for i, (matrix, vector) in enumerate(zip(w, b, strict=True)):
        x = x @ matrix + vector
        x = x.relu() if i < len(w) - 1 else x
    error = x - Node(answers)
    loss = (error * error).sum() * (1.0 / len(points))
    loss.backward()
    return loss.value[0][0], [matrix.gradient for matrix in w]


def milliseconds(function, repeats):
    """Processor time of each of `repeats` calls, after one that does not count; a busy machine does not blur it."""
    function()
    times = []
    for _ in range(repeats):
        gc.collect()  # nobody pays for the graph of the call before
        start = time.process_time()
        function()
        times.append(1000 * (time.process_time() - start))
    return times


def spread(times):
    return {"median": statistics.median(times), "min": min(times), "max": max(times), "repeats": len(times)}


def engine_speed():
    data = perceptron()
    (loss, gradients), (expected_loss, expected) = with_matrices(*data), with_scalars(*data)
    error = max(relative_error(a, b) for a, b in zip(gradients, expected, strict=True))
    if abs(loss - expected_loss) > 1e-12 or error > 1e-12:
        raise SystemExit(f"the two engines disagree: losses {loss} and {expected_loss}, gradients by {error}")
    scalar, matrix = milliseconds(lambda: with_scalars(*data), 7), milliseconds(lambda: with_matrices(*data), 30)
    return {
        "scalar_ms": spread(scalar),
        "matrix_ms": spread(matrix),
        "speedup": statistics.median(scalar) / statistics.median(matrix),
        "gradients_differ_by": error,
    }


def step_and_training(config):
    def step(params, state):
        loss, trace = forward(params, IDS, config)
        return loss, *adamw_step(params, backward(params, trace), state, lr=1e-2)

    first = init_params(config, 0)
    times = milliseconds(lambda: step(first, None), 50)
    start = time.perf_counter()
    params, state, loss, steps = first, None, math.inf, 0
    while loss >= 0.01 and steps < 2000:
        loss, params, state = step(params, state)
        steps += 1
    return {
        "d_model": config.d_model,
        "parameters": count_parameters(config),
        "step_ms": spread(times),
        "training": {"steps": steps, "loss": loss, "seconds": time.perf_counter() - start},
    }


def exactness():
    """Largest relative error of any parameter's gradient, against torch and of the engine, over 200 configurations."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from gradients.cases import random_case

    from insideout.lab.torch_gradients import torch_loss_and_gradients

    against_torch, against_engine = [], []
    for seed in range(200):
        params, ids, config, targets = random_case(seed)
        gradients = backward(params, forward(params, ids, config, targets)[1])
        _, expected = torch_loss_and_gradients(params, ids, config, targets or next_token_targets(ids))
        _, engine = engine_gradients(params, ids, config, targets)
        against_torch.append(max(relative_error(gradients[name], expected[name]) for name in gradients))
        against_engine.append(max(relative_error(gradients[name], engine[name]) for name in gradients))
    return {"configurations": 200, "torch": max(against_torch), "engine": max(against_engine)}


def main():
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
        },
        "engine": engine_speed(),
        "chapter_model": [step_and_training(config) for config in CHAPTER],
        "largest_relative_error": exactness(),
    }
    path = HERE / "results" / "gradients.json"
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(result, indent=2) + "\n")
    beside.replace(path)
    print(path.read_text())


def processor():
    info = Path("/proc/cpuinfo")
    names = (
        [x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or "unknown"


if __name__ == "__main__":
    main()
