"""The network with a sense for Countdown: its opinions, its practice, and what it refuses."""

import pytest
import torch

from insideout.data.problems import Countdown
from insideout.data.problems.countdown import moves, solvable
from insideout.errors import BadInput
from insideout.estimates import auc
from insideout.reasoning.countdown_sense import Sense, filled, positions, practised
from insideout.reasoning.countdown_tree import CountdownTree
from insideout.reasoning.search import beam, search

GAMES = [question.truth for question in Countdown([3]).draw("train", 60, seed=0)]


@pytest.fixture(scope="module")
def sense():
    return practised(GAMES, n_steps=60, seed=0, batch=20)


def test_positions_tell_the_truth_and_the_example():
    found = positions(GAMES[:5], seed=1)
    assert all(
        can == solvable(left, each.target) for each in found for left, can in zip(each.left, each.solvable, strict=True)
    )
    examples = [each for each in found if each.taken >= 0]
    assert len(examples) == 10 and all(each.solvable[each.taken] for each in examples)
    assert any(each.taken < 0 for each in found)


def test_the_order_of_numbers_and_what_fills_them_up_make_no_difference(sense):
    target = torch.tensor([24])
    first = sense(torch.tensor([[3, 8, 250]]), target)
    assert torch.allclose(first, sense(torch.tensor([[250, 3, 8]]), target), atol=1e-5)
    assert torch.allclose(first, sense(torch.tensor([[0, 3, 8, 0, 250]]), target), atol=1e-5)


def test_opinions_are_probabilities_and_remembered(sense):
    game = GAMES[0]
    steps = moves(game.numbers)
    priors = sense.policy(game.target)(game.numbers, steps)
    assert sum(priors) == pytest.approx(1) and min(priors) >= 0
    assert max(sense.policy(game.target, 0.01)(game.numbers, steps)) > max(priors)
    value = sense.value(game.target)
    alone = sense(filled([steps[0].left]), torch.tensor([game.target]))[0, 1].sigmoid().item()
    assert value(steps[0].left) == pytest.approx(alone, abs=1e-5)
    assert (steps[0].left, game.target) in sense.known


def test_practice_teaches_what_can_still_be_made_and_is_repeatable(sense):
    fresh = [question.truth for question in Countdown([3]).draw("test", 40, seed=1)]
    found = [
        (sense.value(g.target)(move.left), solvable(move.left, g.target)) for g in fresh for move in moves(g.numbers)
    ]
    assert auc(*zip(*found, strict=True)) > 0.55
    again = practised(GAMES, n_steps=2, seed=3, batch=4), practised(GAMES, n_steps=2, seed=3, batch=4)
    assert all(torch.equal(a, b) for a, b in zip(*(each.state_dict().values() for each in again), strict=True))
    game = fresh[0]
    assert search(CountdownTree(game, sense.policy(game.target), sense.value(game.target)), beam(30)).expanded > 0


def test_refuses_what_it_cannot_learn_from():
    for games, steps in (([], 5), (GAMES, 0)):
        with pytest.raises(BadInput, match="teach nothing"):
            practised(games, steps)
    with pytest.raises(BadInput, match="above 0"):
        Sense().policy(10, 0.0)
