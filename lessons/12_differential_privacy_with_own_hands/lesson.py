# %% [markdown]
# # 12 · Differential privacy with your own hands
#
# **You will be able to** clip and noise a sum, say what ε and δ promise and about whom, compute what many rounds cost, and
# audit a mechanism that claims a number.
#
# **Time** 45 minutes. **Before** lessons 08 (attacks) and 09 (what encryption does not stop).
#
# **In the application** [Training lab](http://localhost:8501/training?dataset=breast_cancer&clip_norm=1.0&dp_noise=0.3)
#
# Encryption hides the updates. The decrypted *sum* still says something about every client, to all the others. How much at
# most, whatever attack somebody thinks of? That is what **differential privacy** answers, with a number.

# %%
import math

import numpy as np
from scipy.stats import beta, norm

from hefl_core.teaching import check, hint
from hefl_core.terms.dp import Mechanism, discrete_gaussian

# %% tags=["parameters"]
FULL = False
TRIALS = 40_000 if FULL else 8_000
LENGTH, CLIP, CLIENTS = 200, 1.0, 5
draw = np.random.default_rng(12)  # of this lesson's games; a client's own noise comes from the operating system

# %% [markdown]
# ## Two worlds
# In one world client 1 takes part; in the other its update is replaced by zeros, and all else is the same. Call them
# *neighbours*. A **mechanism** is what turns the clients' updates into what is shown. It is $(\varepsilon, \delta)$-private if
# for every set $S$ of outcomes
#
# $$P[\text{with client 1}: S] \le e^{\varepsilon} \cdot P[\text{without}: S] + \delta .$$
#
# A small $\varepsilon$ means: whatever is seen is nearly as likely without this client. $\delta$ is what may go wrong beyond that;
# it must be far below one over the number of clients. The neighbours differ in one *client*, with all its records.
#
# ## Clip: how much can one client do?


# %% exercise="12.1" tags=["exercise"]
# Write clip(update, most): an update longer than `most` (in L2) is shortened to that length, in its direction; others stay.
def clip(update, most):
    return update


check("12.1", clip)

# %% exercise="12.2" tags=["exercise"]
# Every update is clipped to length 1. By how much, in L2, can the sum of the clients change at most when one client's update
# is replaced by zeros?
answer = ...
check("12.2", answer)

# %% [markdown]
# This number, the *sensitivity*, is what the noise is sized for. Without a clip it has no end, and no noise suffices.
#
# ## Noise: a game
# The sum gets Gaussian noise of standard deviation $z\cdot C$ in every entry, $C$ the clip. The attacker knows everything but
# whether client 1 took part, and looks along client 1's own direction. Its two worlds:


# %%
def seen(with_client, z, trials):
    """What the attacker sees along the client's direction, so many times."""
    return (CLIP if with_client else 0.0) + z * CLIP * draw.normal(size=trials)


def rates(z, threshold, trials):
    """How often it says 'was there' rightly, and wrongly."""
    return np.mean(seen(True, z, trials) > threshold), np.mean(seen(False, z, trials) > threshold)


for z in (0.3, 1.0, 3.0):
    right, wrong = rates(z, CLIP / 2, TRIALS)
    print(
        f"z = {z}: says 'was there' in {right:.0%} of the games in which it was, and in {wrong:.0%} in which it was not"
    )


# %% exercise="12.3" tags=["exercise"]
# From the definition: a mechanism lets an attacker be right with rate `right` and wrong with rate `wrong`. Write the smallest
# ε that allows it, for this δ. (S: the outcomes for which the attacker says 'was there'.)
def epsilon_of(right, wrong, delta):
    return 0.0


check("12.3", epsilon_of)

# %% [markdown]
# ## What is claimed
# The library states ε by an *accountant* that knows the whole distribution, not one threshold. The noise is a *discrete*
# Gaussian, whole steps drawn by exact integer arithmetic, since floating point has gaps that tell. Each of the clients adds
# its share of the noise, so that nobody has to be trusted with all of it:

# %%
mechanism = Mechanism(clip_norm=CLIP, noise=1.0, survivors=CLIENTS)
print("shares of the noise, whole steps:", discrete_gaussian(mechanism.share_std(2.0**-8), 6))
print(f"{'z':>5s} {'1 round':>9s} {'10 rounds':>10s} {'100 rounds':>11s}   ε at δ = 1e-5")
for z in (0.3, 1.0, 3.0, 10.0):
    stated = [Mechanism(CLIP, z, CLIENTS).guarantee(rounds).epsilon for rounds in (1, 10, 100)]
    print(f"{z:5.1f} {stated[0]:9.2f} {stated[1]:10.2f} {stated[2]:11.2f}")

# %% [markdown]
# ## Composition
# Each round tells something anew. For Gaussian noise the costs add up in $\rho = 1/(2z^2)$: $R$ rounds cost $R\cdot\rho$.

# %% exercise="12.4" tags=["exercise"]
# One round with z = 1 costs ρ = 1/2. With which z do 100 rounds together cost the same?
answer = ...
check("12.4", answer)

# %% exercise="12.5" tags=["exercise"]
# The shares of the noise are sized for 5 contributors. In one round two of them drop out, and their shares are missing. What
# must the protocol do?
# 0: nothing, ε is about the clients that are there   1: lower δ
# 2: not open that sum: it has less noise than was promised
answer = ...
check("12.5", answer)

# %% [markdown]
# ## Audit: can the claim be false?
# A claim that no check can turn red is worth little. Play the game many times, take the attacker's rates with their
# 95 % intervals against you (*Clopper* and *Pearson*), and compute the ε that they prove at least. If it lies above the claim, the
# claim is false. If not, nothing is proved: another attacker may do better.


# %%
def at_least(hits, trials, alpha=0.05):
    """The rate is at least this, with confidence 1 - alpha."""
    return beta.ppf(alpha, hits, trials - hits + 1) if hits else 0.0


def at_most(hits, trials, alpha=0.05):
    """The rate is at most this, with confidence 1 - alpha."""
    return beta.ppf(1 - alpha, hits + 1, trials - hits) if hits < trials else 1.0


def audited(z, delta=1e-5):
    """A lower bound of ε from one threshold, chosen before the games."""
    threshold = z * CLIP * norm.isf(20 / TRIALS)  # about 20 wrong calls: rare enough to tell, often enough to count
    right, wrong = (int(np.sum(seen(there, z, TRIALS) > threshold)) for there in (True, False))
    low, high = at_least(right, TRIALS), at_most(wrong, TRIALS)
    return max(0.0, math.log(max(low - delta, 1e-12) / high))


claimed = Mechanism(CLIP, 1.0, CLIENTS).guarantee(1).epsilon
print(f"claimed for z = 1: {claimed:.2f}")
print(f"audit of an honest mechanism: at least {audited(1.0):.2f}")
print(f"audit of one whose noise is a quarter of what it says: at least {audited(0.25):.2f}")

# %% [markdown]
# The second audit is above the claim: red. So the same check that is green for the honest mechanism can fail.
#
# ## What it promises, and what not
# - About a *client*, with all its records; not about a group of clients, and not that the model learns nothing about the world.
# - Against everybody who sees sums and model, whatever else they know. A fellow contributor knows its own share of the noise
#   and subtracts it, so the library states a second, larger ε for that reader.
# - Only if every contributor adds its noise. Here nobody can check that from ciphertexts; a client that does not weakens
#   the promise for all.
# - Noise costs accuracy: on the mean of $K$ clients it falls as $1/K$, so with few clients a strong promise leaves little to learn.
#   Page *Training lab* draws the price.
#
# **Further reading** Dwork and Roth 2014, *The Algorithmic Foundations of Differential Privacy*; Kairouz, Liu, Steinke 2021,
# [arXiv 2102.06387](https://arxiv.org/abs/2102.06387); Canonne, Kamath, Steinke 2020, [arXiv 2004.00010](https://arxiv.org/abs/2004.00010);
# Steinke, Nasr, Jagielski 2023, *Privacy Auditing with One Training Run*, [arXiv 2305.08846](https://arxiv.org/abs/2305.08846).
