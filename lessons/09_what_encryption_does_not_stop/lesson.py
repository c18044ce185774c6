# %% [markdown]
# # 09 · What encryption does not stop
#
# **Goals.** You see collusion, the difference of two sums, a lying client and a returned CKKS decryption defeat a training
# whose encryption is flawless; and you can name for each what helps, and what only seems to.
#
# **Minutes:** 45. **Prerequisites:** lessons 04 (CKKS), 06 (custody) and 08 (seats, intervals, guessing).
#
# **In the application:** [Open the page](http://localhost:8501/limits?dataset=digits&scheme=bfv-lean&clients=5) *What HE does
# not stop*.
#
# Stuck at a question? Call `hint("09.1")`, again for the next hint.

# %%
import numpy as np

from hefl_core.attacks.catalogue import run
from hefl_core.attacks.trials import key_recovery
from hefl_core.attacks.ckks_key_lab import KeyRecovery
from hefl_core.attacks.five_seats import naming_rate
from hefl_core.attacks.lab import CLIENT, Setting
from hefl_core.attacks.methods.poisoning import poison
from hefl_core.checks.claims.ledger import NOT_PROMISED
from hefl_core.terms.experiment import Experiment
from hefl_core.figures.attacks import rate_words
from hefl_core.runtime.launch import run_experiment
from hefl_core.teaching import check, hint

# %% tags=["parameters"]
FULL = False
TRIALS = 40 if FULL else 10
ROUNDS = 10 if FULL else 3

# %% [markdown]
# ## 1 · What was promised
#
# Encryption keeps *messages* from those without the key. Here is what this project says it does **not** promise, from the
# same list that the screens print:

# %%
for sentence in NOT_PROMISED:
    print("·", sentence)

# %% [markdown]
# ## 2 · Collusion
#
# **Collusion** is two seats that put together what they hold. The coordinator has every client's ciphertext; who has a key?

# %%
for threshold in (1, 2, 3):
    found = run("collusion", threshold=threshold)
    print(f"{threshold} of 5 decrypt: {found.note}")

# %% exercise="09.1" tags=["exercise"]
# Custody 3-of-5. How many clients must join the coordinator before they read another client's update?
helpers = ...
check("09.1", helpers)

# %% [markdown]
# Custody moves the number; nothing makes it disappear, since t clients may decrypt by design. With t = n one client that is
# offline stops everybody.
#
# ## 3 · Differences of sums
#
# Clients decrypt the sum of each round. Suppose that between two rounds one client left.


# %% exercise="09.2" tags=["exercise"]
# From the mean of K updates and the mean of the K − 1 that stayed (same updates): the update of the client that left.
def who_left(mean_before, mean_after, K):
    return mean_before - mean_after


check("09.2", who_left)

# %%
rng = np.random.default_rng(9)
updates = rng.normal(size=(5, 4))
print("the one that left:", updates[0].round(3))
print("computed:         ", who_left(updates.mean(0), updates[1:].mean(0), 5).round(3))
found = run("differencing", CLIENT, trials=TRIALS)
print(
    f"real rounds, where the model moved meanwhile: named among 20 in {found.value:.0%} of {found.trials} trials; {found.note}"
)

# %% [markdown]
# With K = 2 no one need leave: subtract your own. Therefore `min_cohort` is at least 3 here, and lower values are marked
# INSECURE. Against differences over rounds it does not help; stable cohorts do, and noise.
#
# ## 4 · A client that lies
#
# **Poisoning**: a client encrypts, commits and tags a false update. Every check asks whether the sum is the clients' sum.

# %% exercise="09.3" tags=["exercise"]
# One of five clients sends −4 times its update. Which check refuses the round?
# 0: re-adding by the auditor   1: the count   2: the tag   3: none
refuses = ...
check("09.3", refuses)

# %%
lied = poison("digits", clients=5, rounds=5)
print("caught by:", lied.caught_by or "nobody")
print("accuracy, all honest:  ", lied.honest.round(3))
print("accuracy, one lying client:", lied.poisoned.round(3))
print("norm of the mean, honest and lied:", lied.honest_norms.round(2), lied.poisoned_norms.round(2))

# %% [markdown]
# Without encryption a coordinator could look at each update's norm. Here it cannot, and honest clients' **clipping**
# (shortening to an
# agreed norm) does not bind a client that lies. What can be seen is the decrypted mean, afterwards, by everybody, with no name on
# it. Proofs that an encrypted update is small exist (zero-knowledge range proofs); this project has none, and says so.
#
# ## 5 · A CKKS decryption that goes back
#
# CKKS is approximate: a decrypted value is m plus noise, and the noise depends on the key. Somebody who holds the
# *ciphertext* and gets the *decrypted numbers* has an equation in the key (Li and Micciancio 2021).

# %% exercise="09.4" tags=["exercise"]
# A client kindly returns the decrypted float64 average to the coordinator "for monitoring". What does that give away?
# 0: the average only   1: the average and its noise   2: the whole secret key, and with it every client's update
returned = ...
check("09.4", returned)

# %%
for how in ("float64", "float32", "flooded"):
    found = key_recovery(KeyRecovery(returned=how, noise=1e-9))
    print(f"returned as {how:8s}: {found.value:.0%} of the updates opened; {found.note}")
found = key_recovery(KeyRecovery(rotated=True))
print(f"key rotated meanwhile: {found.value:.0%} of the next epoch's updates opened")

# %% [markdown]
# Rounding to float32 stops *this* solver by luck, not by proof. What is meant to stop it is **flooding** once per ciphertext,
# cached, plus rotation; or BFV, whose decryptions are exact, as long as none can ever fail: a scheme whose decryptions fail now
# and then falls to the same kind of attack (Cheon et al., eprint 2024/127; Checri et al., eprint 2024/116). A published CKKS-trained model is a returned decryption too.
#
# ## 6 · Noise that proves something
#
# **Differential privacy** (DP) bounds what *any* attack on the sum or the model can learn about one client: clip each update
# to a norm, add noise. ε says how much one client can change the odds of any outcome: e^ε. Small is private.

# %% exercise="09.5" tags=["exercise"]
# ε = 1. By which factor at most does one client's taking part change the odds of an outcome (δ aside)?
factor = ...
check("09.5", factor)

# %%
for noise in (0.0, 0.03, 0.3, 1.0):
    done = run_experiment(
        Experiment(clients=5, rounds=ROUNDS, clip_norm=1.0, dp_noise=noise or None, learning_rate=0.1)
    )
    proves = f"ε = {done.privacy.epsilon:5.1f} (δ = {done.privacy.delta:g})" if noise else "ε: none promised   "
    rate = naming_rate(Setting(clip=1.0, noise=noise), records=100)
    print(f"noise {noise}: {proves}, accuracy {done.rounds[-1].accuracy:.3f}; 100 records: {rate_words(rate)}")

# %% [markdown]
# Two questions. *Does this attack still name its record?* At noise 0.03 a person sees nothing any more, and yet 9 of 100 records
# are named where a blind guess names one; at 0.3 the attack is at chance, and 0.03 costs no accuracy here. *Does the noise prove
# something* about attacks that nobody has thought of? Only much noise does, and with five clients it costs the accuracy. The
# noise on the *sum* stays the same however many clients there are, so on the mean of K clients it falls as 1/K.

# %% exercise="09.6" tags=["exercise"]
# A stakeholder asks: "encrypted and ε = 300, so we are private?" Your answer?
# 0: yes   1: the server sees nothing; ε = 300 proves nothing about the model   2: no, encryption is useless
answer = ...
check("09.6", answer)

# %% [markdown]
# ## Further reading
#
# - Li and Micciancio, *On the Security of Homomorphic Encryption on Approximate Numbers*, EUROCRYPT 2021.
# - Bagdasaryan et al., *How To Backdoor Federated Learning*, AISTATS 2020.
# - Pasquini, Francati, Ateniese, *Eluding Secure Aggregation in Federated Learning via Model Inconsistency*, CCS 2022.
# - Kairouz, Liu, Steinke, *The Distributed Discrete Gaussian Mechanism for Federated Learning*, ICML 2021.
# - In the repository: `docs/threat_model.md`, `docs/dp.md`, `docs/sharp_edges.md`.
#
# Next: lesson 10 leaves the laptop.
