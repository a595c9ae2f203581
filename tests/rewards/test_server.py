"""A judge behind HTTP: its rewards are those of the process, whatever happens on the way, or one line says why not."""

import json
import time

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

import fmtt as library
from fmtt.flow.conditions import rows
from fmtt.methods.baselines import best_of_n
from fmtt.rewards import Symmetry, WeightedSum
from fmtt.rewards.server import JudgeError, Server
from fmtt.rewards.texts import bytes_of, texts_of
from fmtt.rewards.wire import Question, answer, keys_of, packed, rewards_in, unpacked
from fmtt.run.serve_reward import RewardServer
from tests.latent import LatentPictures
from tests.rewards.judges import CPU, PICTURES, QUICK, TEXTS, listening, scripted, slope, told


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
        (save({"x": PICTURES}, {"version": "2", "keys": "[]", "prompts": "null"}), "not a safetensors file with"),
        (save({"pictures": PICTURES}, {"version": "3", "keys": "[]", "prompts": "null"}), "version 3 of the wire"),
        (packed(Question(["0", "1"], PICTURES[:1], None)), "differ in number"),
        (packed(Question(["0"], PICTURES[:1], ["a", "b"])), "differ in number"),
        (packed(Question(["0", "1", "0"], PICTURES[:3], None)), "the key 0 is there 2 times, must be there once"),
    ],
    ids=[
        "nothing",
        "text",
        "cut",
        "no keys",
        "no pictures",
        "version",
        "keys",
        "prompts",
        "twice",
    ],  # bytes differ by process
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
    return json.dumps({"version": 2, "rewards": {"k0": 0.5, "k1": 1.5}} | changes).encode()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"<html>", "not JSON with version and rewards"),
        (b"[1, 2]", "not JSON with version and rewards"),
        (b'{"version": 2}', "not JSON with version and rewards"),
        (body(rewards=3), "not JSON with version and rewards"),
        (body(version=1), "version 1 of the wire format: must be 2"),
        (body(rewards={"k0": 0.5}), "no reward for the sample k1"),
        (body(rewards={"k0": 0.5, "k2": 1.5}), "no reward for the sample k1"),
        (body(rewards={"k0": 0.5, "k1": 1.5, "k2": 2.5}), "3 rewards for 2 samples"),
        (body(rewards={"k0": 0.5, "k1": float("nan")}), "the reward of sample k1=nan: must be a finite number"),
        (body(rewards={"k0": float("-inf"), "k1": 0.5}), "the reward of sample k0=-inf: must be a finite number"),
        (body(rewards={"k0": 0.5, "k1": "1.5"}), "the reward of sample k1=1.5: must be a finite number"),
        (body(rewards={"k0": 0.5, "k1": None}), "the reward of sample k1=None: must be a finite number"),
        (body(rewards={"k0": 0.5, "k1": True}), "the reward of sample k1=True: must be a finite number"),
        (b'{"version": 2, "rewards": {"k0": 1, "k1": 2, "k0": 3}}', "the key k0 is there 2 times, must be there once"),
    ],
)
def test_a_wrong_answer_is_one_line(said: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rewards_in(said, ["k0", "k1"])
    first, second = keys_of(PICTURES[:2], None)

    def keyed(text: str) -> str:
        return text.replace("k0", first).replace("k1", second)

    with scripted(lambda number, question: (200, keyed(said.decode()).encode())) as address, gives_up() as failure:
        Server(address)(PICTURES[:2])
    line = str(failure.value)
    assert line.startswith(f"reward.address={address}: ") and keyed(complaint) in line
    assert len(str(failure.value).splitlines()) == 1
    assert rewards_in(body(), ["k1", "k0"]) == [1.5, 0.5]


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
