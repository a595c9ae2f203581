"""A judge behind HTTP: its rewards are those of the process, whatever happens on the way, or one line says why not."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

import fmtt as library
from fmtt.flow import noise
from fmtt.flow.conditions import rows
from fmtt.methods.baselines import best_of_n
from fmtt.methods.trajectory import Trajectory
from fmtt.rewards import Rotation, Symmetry, WeightedSum
from fmtt.rewards.server import JudgeError, Server
from fmtt.rewards.texts import bytes_of, texts_of
from fmtt.rewards.wire import Question, answer, packed, rewards_in, unpacked
from fmtt.run.serve_reward import RewardServer, server_at
from tests.command import Outcome
from tests.latent import LatentPictures

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
PICTURES = noise.normal((11, 3, 4, 5), 0, "pictures")
TEXTS = ["a cat", "zwölf Äpfel, 十二个苹果", ""]
QUICK = {"retries": 1, "backoff": 0.01}


def slope(x: Tensor) -> Tensor:
    """A reward that tells all pictures and all their pixels apart, and whose rounding does not depend on the batch."""
    return (x.flatten(1) * torch.linspace(1, 2, x[0].numel()).sin()).sum(1)


def told(x: Tensor, condition: list[str]) -> Tensor:
    """A reward that depends on the text, too."""
    return slope(x) * torch.tensor([float(sum(text.encode())) for text in condition])


@contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop(server)
        thread.join()


def stop(server: ThreadingHTTPServer) -> None:
    """No connection is taken any more; also for a server that has stopped."""
    server.shutdown()
    server.server_close()


@contextmanager
def scripted(respond: Callable[[int, Question], tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers request 0, 1, ... as ``respond`` says."""
    numbers = iter(range(1000))

    class Scripted(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = unpacked(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = respond(next(numbers), question)
            self.send_response(status)
            self.end_headers()
            with suppress(BrokenPipeError):  # a client that waits no longer
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Scripted)) as address:
        yield address


def gives_up() -> pytest.RaisesExc[JudgeError]:
    return pytest.raises(JudgeError)


def right(question: Question) -> bytes:
    return answer(question.keys, slope(question.pictures).tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("prompts", [None, TEXTS])
def test_a_request_keeps_every_bit(dtype: torch.dtype, prompts: list[str] | None) -> None:
    question = Question(["b", "a", "0"], PICTURES[:3].to(dtype) * 1.7, prompts)
    found = unpacked(packed(question))
    assert torch.equal(found.pictures, question.pictures) and found.pictures.dtype == dtype
    assert (found.keys, found.prompts) == (question.keys, question.prompts)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not a safetensors file with"),
        (b"no tensors at all", "not a safetensors file with"),
        (packed(Question(["0"], PICTURES[:1], None))[:-4], "not a safetensors file with"),
        (save({"pictures": PICTURES}), "not a safetensors file with"),
        (save({"x": PICTURES}, {"version": "1", "keys": "[]", "prompts": "null"}), "not a safetensors file with"),
        (save({"pictures": PICTURES}, {"version": "2", "keys": "[]", "prompts": "null"}), "version 2 of the wire"),
        (packed(Question(["0", "1"], PICTURES[:1], None)), "differ in number"),
        (packed(Question(["0"], PICTURES[:1], ["a", "b"])), "differ in number"),
    ],
)
def test_another_body_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unpacked(body)


def test_texts_survive_as_bytes_in_any_order() -> None:
    assert texts_of(bytes_of(TEXTS)[[2, 0, 1, 1]]) == [TEXTS[2], TEXTS[0], TEXTS[1], TEXTS[1]]
    with pytest.raises(ValueError, match="float32: this reward is told the texts"):
        texts_of(torch.zeros(2, 3))


@pytest.mark.parametrize("batch", [1, 3, 4, 11, 64])
def test_answers_in_any_order_are_put_back(batch: int) -> None:
    sizes = []

    def late_and_reversed(number: int, question: Question) -> tuple[int, bytes]:
        sizes.append(len(question.keys))
        time.sleep(0.02 * (number % 3 == 0))
        return 200, answer(question.keys[::-1], slope(question.pictures).tolist()[::-1])

    with scripted(late_and_reversed) as address:
        found = Server(address, batch=batch, workers=4)(PICTURES)
    assert torch.equal(found, slope(PICTURES))
    assert sum(sizes) == len(PICTURES) and max(sizes) == min(batch, len(PICTURES))


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_requests_at_the_same_time_as_there_are_workers(workers: int) -> None:
    now, most = [], []

    def counted(number: int, question: Question) -> tuple[int, bytes]:
        now.append(number)
        most.append(len(now))
        time.sleep(0.05)
        now.remove(number)
        return 200, right(question)

    with scripted(counted) as address:
        Server(address, batch=1, workers=workers)(PICTURES)
    assert max(most) == workers


def test_every_sample_comes_with_its_text() -> None:
    which = torch.tensor([0, 1, 2, 1, 0, 2, 2, 1, 0, 0, 1])
    expected = told(PICTURES, [TEXTS[number] for number in which])
    with listening(RewardServer("127.0.0.1", 0, told, CPU)) as address:
        server = Server(address, batch=4)
        assert torch.equal(server(PICTURES, rows(server.encode_prompts(TEXTS), which)), expected)
        both = WeightedSum({"judge": server, "plain": Symmetry(2.0)})
        found = both(PICTURES, rows(both.encode_prompts(TEXTS), which))
        with pytest.raises(JudgeError, match="needs prompts, and the run has none, in attempt 1 of"):
            server(PICTURES)
    assert torch.equal(found, torch.stack([expected, 2 * Symmetry()(PICTURES)]).sum(0))


def test_texts_are_encoded_once_for_a_reward_with_an_encoder() -> None:
    asked = []

    class Encoding:
        def encode_prompts(self, texts: list[str]) -> dict[str, Tensor]:
            asked.append(texts)
            return {"length": torch.tensor([float(len(text)) for text in texts])}

        def __call__(self, x: Tensor, condition: dict[str, Tensor]) -> Tensor:
            return slope(x) + condition["length"]

    question = Question(list("abc"), PICTURES[:3], ["four", "a", "four"])
    server = RewardServer("127.0.0.1", 0, Encoding(), CPU)
    server.server_close()
    assert server.rewards(question) == (slope(PICTURES[:3]) + torch.tensor([4.0, 1.0, 4.0])).tolist()
    assert asked == [["four", "a"]]


def test_a_reward_that_is_told_nothing_is_served_to_a_run_with_prompts() -> None:
    with listening(RewardServer("127.0.0.1", 0, slope, CPU)) as address:
        assert torch.equal(Server(address)(PICTURES[:3], bytes_of(TEXTS)), slope(PICTURES[:3]))


def test_attempts_wait_twice_as_long_each_time_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    monkeypatch.setattr("fmtt.rewards.server.time.sleep", waits.append)
    passing = (503, 429, 500, 408, 502)

    def at_last(number: int, question: Question) -> tuple[int, bytes]:
        return (passing[number], b"busy") if number < len(passing) else (200, right(question))

    with scripted(at_last) as address:
        assert torch.equal(Server(address, batch=11, backoff=6.0)(PICTURES), slope(PICTURES))
    assert waits == [6.0, 12.0, 24.0, 48.0, 60.0]


def test_a_judge_that_stays_busy_is_given_up() -> None:
    asked = []
    with (
        scripted(lambda number, question: (asked.append(number) or 503, b"out of\nmemory")) as address,
        gives_up() as failure,
    ):
        Server(address, batch=11, retries=2, backoff=0.01)(PICTURES)
    assert str(failure.value) == f"reward.address={address}: status 503: out of memory, in attempt 3 of 3"
    assert asked == [0, 1, 2]


def test_a_request_that_is_refused_is_not_repeated() -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        server = Server(address)
        with pytest.raises(ValueError, match="reward server needs images"):
            server(torch.zeros(2, 2))
    asked = []
    with (
        scripted(lambda number, question: (asked.append(number) or 404, b"<html>not here</html>")) as address,
        gives_up() as failure,
    ):
        Server(address, batch=11)(PICTURES)
    assert str(failure.value).endswith("status 404: <html>not here</html>, in attempt 1 of 6")
    assert asked == [0]


def test_a_judge_that_breaks_says_how() -> None:
    with listening(RewardServer("127.0.0.1", 0, lambda x: x @ x, CPU)) as address, gives_up() as failure:
        Server(address, **QUICK)(PICTURES)
    assert "status 500: RuntimeError: " in str(failure.value)


def test_a_judge_that_is_down_or_slow_is_named() -> None:
    with scripted(lambda number, question: (time.sleep(0.4), (200, right(question)))[1]) as address, gives_up() as late:
        Server(address, batch=11, timeout=0.05, **QUICK)(PICTURES)
    with gives_up() as down:
        Server(address, **QUICK)(PICTURES)
    for failure, reason in ((late, "timed out"), (down, "refused")):
        assert str(failure.value).startswith(f"reward.address={address}: ") and reason in str(failure.value)
        assert str(failure.value).endswith(", in attempt 2 of 2")


def body(**changes: object) -> bytes:
    return json.dumps({"version": 1, "rewards": {"0": 0.5, "1": 1.5}} | changes).encode()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"<html>", "not JSON with version and rewards"),
        (b"[1, 2]", "not JSON with version and rewards"),
        (b'{"version": 1}', "not JSON with version and rewards"),
        (body(rewards=3), "not JSON with version and rewards"),
        (body(version=2), "version 2 of the wire format: must be 1"),
        (body(rewards={"0": 0.5}), "no reward for the sample 1"),
        (body(rewards={"0": 0.5, "2": 1.5}), "no reward for the sample 1"),
        (body(rewards={"0": 0.5, "1": 1.5, "2": 2.5}), "3 rewards for 2 samples"),
        (body(rewards={"0": 0.5, "1": float("nan")}), "the reward of sample 1=nan: must be a finite number"),
        (body(rewards={"0": float("-inf"), "1": 0.5}), "the reward of sample 0=-inf: must be a finite number"),
        (body(rewards={"0": 0.5, "1": "1.5"}), "the reward of sample 1=1.5: must be a finite number"),
        (body(rewards={"0": 0.5, "1": None}), "the reward of sample 1=None: must be a finite number"),
        (body(rewards={"0": 0.5, "1": True}), "the reward of sample 1=True: must be a finite number"),
    ],
)
def test_a_wrong_answer_is_one_line(said: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rewards_in(said, ["0", "1"])
    with scripted(lambda number, question: (200, said)) as address, gives_up() as failure:
        Server(address)(PICTURES[:2])
    assert str(failure.value).startswith(f"reward.address={address}: ") and complaint in str(failure.value)
    assert len(str(failure.value).splitlines()) == 1
    assert rewards_in(body(), ["1", "0"]) == [1.5, 0.5]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"address": "localhost:1"}, "reward.address=localhost:1: must begin with http:// or https://"),
        ({"batch": 0}, "reward.batch=0"),
        ({"workers": 0}, "reward.workers=0"),
        ({"timeout": 0}, "reward.timeout=0"),
        ({"retries": -1}, "reward.retries=-1"),
        ({"backoff": 0}, "reward.backoff=0"),
        ({"scale": float("nan")}, "reward.scale=nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Server(**{"address": "http://nowhere", **settings})


def test_the_library_gives_the_same_as_in_the_process() -> None:
    sizes = {"mode": best_of_n, "groups": 2, "particles": 10, "steps": 2}
    expected = library.sample(LatentPictures(), slope, **sizes)
    with listening(RewardServer("127.0.0.1", 0, slope, CPU)) as address:
        found = library.sample(LatentPictures(), Server(address, batch=3), **sizes)
    for name in ("samples", "rewards", "selected"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


STEERED = (
    "mode=fk_steering",
    "population.groups=1",
    "population.particles=4",
    "model=mnist",
    "reward.scale=40",
    "logger=csv",
    "report=false",
)


@pytest.fixture
def judged(fmtt: Callable[..., Outcome]) -> Callable[..., Outcome]:
    def run(address: str, *words: str, folder: str = "run") -> Outcome:
        words = (*words, f"reward.address={address}", "reward.retries=1", "reward.backoff=0.01")
        return fmtt("reward=server", *STEERED, *words, folder=folder)

    return run


def arrays(outcome: Outcome) -> dict[str, Tensor]:
    assert outcome.status == 0, outcome.err
    return load_file(outcome.folder / "samples.safetensors")


def test_a_run_through_a_server_is_the_run_in_the_process(
    fmtt: Callable[..., Outcome], judged: Callable[..., Outcome]
) -> None:
    expected = arrays(fmtt("reward=symmetry", *STEERED, folder="process"))
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        found = arrays(judged(address, "reward.batch=3"))
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def dies_in_a_step(monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]) -> None:
    """In the third step: after the network was called, and before the reward is."""
    unbroken, steps = Trajectory.step, []

    def step(self: Trajectory, state: object) -> object:
        steps.append(state)
        if len(steps) == 3:
            die()
        return unbroken(self, state)

    monkeypatch.setattr(Trajectory, "step", step)


def dies_at_the_end(monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]) -> None:
    """After the last step, before the base model is judged."""
    from fmtt.run import execute

    unbroken = execute.base_result
    monkeypatch.setattr(execute, "base_result", lambda run: (die(), unbroken(run))[1])


@pytest.mark.parametrize("dies", [dies_in_a_step, dies_at_the_end])
def test_a_judge_that_dies_leaves_a_checkpoint_and_one_line(
    judged: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, dies: Callable[..., None]
) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        whole = judged(address, folder="whole")
    port = int(address.rpartition(":")[2])
    with listening(server := RewardServer("127.0.0.1", port, Symmetry(), CPU)), monkeypatch.context() as patch:
        dies(patch, lambda: stop(server))
        broken = judged(address, folder="broken")
    assert broken.status == 1
    assert len(complaints(broken)) == 1
    assert f"reward.address={address}: " in complaints(broken)[0] and "resume=true" in complaints(broken)[0]
    assert len(list(broken.folder.glob("checkpoint-*.pt"))) == 1
    with listening(RewardServer("127.0.0.1", port, Symmetry(), CPU)):
        resumed = judged(address, "resume=true", folder="broken")
    assert resumed.status == 0, resumed.err
    for name in ("samples.safetensors", "history.csv"):
        assert (whole.folder / name).read_bytes() == (resumed.folder / name).read_bytes(), name
    assert {name: value for name, value in whole.metrics.items() if "time" not in name and "memory" not in name} == {
        name: value for name, value in resumed.metrics.items() if "time" not in name and "memory" not in name
    }
    assert not list(resumed.folder.glob("checkpoint-*"))


def complaints(outcome: Outcome) -> list[str]:
    """The lines on stderr, without the record that the server of the test keeps there."""
    return [line for line in outcome.complaint.splitlines() if '"POST / HTTP' not in line]


def test_a_judge_that_is_down_from_the_start_is_one_line(judged: Callable[..., Outcome], tmp_path: Path) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        pass
    done = judged(address)
    assert done.status == 1
    assert done.complaint.startswith(f"fmtt: reward.address={address}: ")
    assert len(done.complaint.splitlines()) == 1
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_sweep_says_of_which_runs_the_judge_was_down(judged: Callable[..., Outcome]) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        pass
    done = judged(address, "-m", "seed=0,1")
    assert done.status == 1
    for number in ("0", "1"):
        assert f"reward.address={address}: " in (done.folder / number / "error.txt").read_text()


def test_a_judge_gives_no_gradient(judged: Callable[..., Outcome]) -> None:
    with listening(RewardServer("127.0.0.1", 0, Symmetry(), CPU)) as address:
        done = judged(address, "mode=guidance")
    assert done.status == 2
    assert complaints(done) == ["fmtt: the reward is not differentiable, and this mode needs its gradient"]


@pytest.mark.slow
def test_the_script_serves_what_it_is_told_to(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "serve_reward.py"), "reward=rotation", "port=0", "device=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            name, _, address = server.stdout.readline().strip().partition("=")
            assert name == "reward.address"
            assert torch.equal(Server(address)(PICTURES), Rotation()(PICTURES))
        finally:
            server.terminate()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_listen_is_refused() -> None:
    with pytest.raises(ValueError, match="port=70000: must be at most 65535"):
        server_at("127.0.0.1", 70000, slope, CPU)
    with server_at("127.0.0.1", 0, slope, CPU) as taken:
        port = taken.server_port
        with pytest.raises(ValueError, match=f"host=127.0.0.1, port={port}: Address already in use"):
            server_at("127.0.0.1", port, slope, CPU)
