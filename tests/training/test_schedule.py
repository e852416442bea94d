"""The rate rises to the one that is asked for and falls, however few the steps."""
import pytest

torch = pytest.importorskip("torch")
from atl_training.schedule import one_cycle  # noqa: E402


@pytest.mark.parametrize("steps, rise", [(20, 0.05), (10, 0.1), (50, 0.02), (1, 0.05), (300, 0.05)])
def test_rates_of_a_cycle(steps, rise):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = one_cycle(optimiser, 0.1, steps, rise)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    peak = min(round(rise * steps), steps - 1)
    assert max(rates) <= 0.1 and (steps < 20 or max(rates) > 0.09)
    assert all(a >= b for a, b in zip(rates[peak:], rates[peak + 1:], strict=False))


def test_adams_first_beta_is_the_cycles_whatever_it_was_made_with():
    cycles = []
    for beta in (0.8, 0.9):
        optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], 1.0, betas=(beta, 0.99))
        schedule, seen = one_cycle(optimiser, 0.1, 100, 0.1), []
        for _ in range(100):
            seen.append(optimiser.param_groups[0]["betas"])
            optimiser.step()
            schedule.step()
        cycles.append(seen)
    assert cycles[0] == cycles[1] and {second for _, second in cycles[0]} == {0.99}
    firsts = [first for first, _ in cycles[0]]
    assert firsts[0] == 0.95 and firsts[9] == min(firsts) == pytest.approx(0.85) and firsts[-1] == pytest.approx(0.95)
