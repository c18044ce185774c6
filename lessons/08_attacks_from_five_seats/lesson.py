# %% [markdown]
# # 08 · Attacks from five seats
#
# **Goals.** You attack the same record from every seat of a federated training with the same code, read a result with its
# interval and its guessing rate, and can say what it takes to claim that an attack finds *nothing*.
#
# **Minutes:** 45. **Prerequisites:** lessons 01 (the update gives the record away), 05 (who gets what) and 06 (custody).
#
# **In the application:** [Open the page](http://localhost:8501/attack?dataset=digits&scheme=bfv-lean&clients=5) *Attack lab*.
#
# Stuck at a question? Call `hint("08.1")`, again for the next hint.

# %%
import numpy as np

from hefl_core.attacks import five_seats
from hefl_core.attacks.catalogue import run
from hefl_core.attacks.lab import CLIENT, COALITION, COORDINATOR, PLAIN, THREATS, USER, Lab, Setting
from hefl_core.attacks.seat_matrix import family_at_chance
from hefl_core.attacks.methods.record_leak import best_record
from hefl_core.attacks.scoring import psnr
from hefl_core.figures import attacks as pictures
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.teaching import check, hint
from hefl_core.vectors import unflatten

# %% tags=["parameters"]
FULL = False
TRIALS = 400 if FULL else 60
UPDATES = 32 if FULL else 8

# %% [markdown]
# ## 1 · A seat, its view, an attack, a scorer
#
# - A **seat** is a place from which somebody looks: here are five.
# - Its **view** is what it holds: bytes, arrays, keys, and what is public. An **attack** is a function of a view; it gets
#   nothing else, so it cannot cheat.
# - The **scorer** alone knows the truth and says how near the attack came.

# %%
for seat, threat in THREATS.items():
    print(f"{seat:20s} {threat}")

# %%
for seat in (PLAIN, COORDINATOR):
    scheme = "plaintext" if seat == PLAIN else "bfv-lean"
    view, truth = Lab(Setting(seat=seat, scheme=scheme)).trial(0)
    guess = best_record(view)[0]
    true = truth.examples.features[0].astype(np.float64)
    print(
        f"{seat}: {len(view.messages)} message of {len(view.messages[0].content):,} bytes, {len(view.keys)} keys;",
        end=" ",
    )
    print(f"the same attack comes to {psnr(guess, true):.0f} dB")

# %% [markdown]
# The measure is **PSNR**, peak signal over error in decibels: above 30 dB a picture looks right, at 10 dB a person sees little. But
# PSNR misleads, so ask a second question: is the guess nearer to the true record than to 99 others (**re-identification**)?
# A blind guess is, once in a hundred times: one record proves nothing, so ask it of a hundred records.
#
# In the last of the seats below the update was first shortened to a fixed length, the **clipping norm**, and then every
# entry got random noise; lesson 09 says why one does that.

# %% exercise="08.1" tags=["exercise"]
# One record per client, K = 5, noise of a hundredth of the clipping norm on the last. From where is the record named among
# 100 far more often than once in a hundred?
# 0: plain FL only   1: plain FL and the decrypted mean   2: those two, and also from the noised update
prediction = ...
check("08.1", prediction)

# %%
row = five_seats.five_seats("digits", 3, noise=0.01)
rates = five_seats.naming_rates("digits", noise=0.01)
print(pictures.portraits_caption(row, rates).replace(". ", ".\n"))
pictures.portraits(row)

# %% [markdown]
# Look at the noised one: a person could hardly say what it is, and still such guesses point at the right record in three of
# four cases. Never trust your eyes alone, and never one record: the line gives the rate, its interval and the blind guess.
#
# ## 2 · Write an attack yourself
#
# iDLG (Zhao et al. 2020): with the cross-entropy loss, the gradient of the last layer's bias is $p - y$: the predicted
# probabilities minus a one at the true label. Which entry can be negative?


# %% exercise="08.2" tags=["exercise"]
# From the gradient of the last bias of one record (one entry per class) to the label of the record.
def label_of(bias_gradient):
    return 0


check("08.2", label_of)

# %%
data = load_dataset("digits")
model = model_for_dataset("mlp", data)
arrays = unflatten(model.init(b"lesson 08"), model.shapes)
right = 0
for at in range(TRIALS):
    rows = data.train.features[at : at + 1], data.train.labels[at : at + 1]
    right += label_of(loss_and_gradient(model, arrays, *rows)[1][-1]) == rows[1][0]
print(f"your attack: {right} of {TRIALS} labels right")

# %% [markdown]
# ## 3 · One number is not a result
#
# A result needs what **guessing** reaches (the *prior*), an **interval** that says how far chance may have moved it, and the
# number of trials.

# %%
found = [run("label", seat, trials=TRIALS) for seat in (PLAIN, COORDINATOR)]
found += [run("record", seat, trials=TRIALS) for seat in (PLAIN, COORDINATOR)]
found += [run("membership", seat, trials=UPDATES) for seat in (PLAIN, COORDINATOR)]
for r in found:
    print(
        f"{r.attack:11s} {r.seat:12s} {r.metric:13s} {r.value:7.2f}  95 %: {r.low:.2f} to {r.high:.2f}  guessing {r.prior:.2f}"
    )

# %% [markdown]
# *Membership* asks whether a given record was used at all; its metric AUC is .5 for a coin and 1 for certainty.

# %% exercise="08.3" tags=["exercise"]
# In 400 trials an attack never hits. Its hit rate may still be up to about … (95 % sure)? A number, such as 0.5.
upper = ...
check("08.3", upper)

# %%
for n in (40, 400, 4000):
    print(f"0 of {n}: at most {1 - 0.05 ** (1 / n):.4f} exactly; three over n: {3 / n:.4f}")

# %% [markdown]
# So "we saw nothing" in 40 trials still allows more than one hit in fourteen. And a second trap: an attack with a bug finds nothing
# either.

# %% exercise="08.4" tags=["exercise"]
# An attack finds nothing in ciphertexts. What else must you see before you believe that it could have found something?
# 0: a longer key   1: the same code succeeding where there is something (a positive control)   2: a second attack failing
believe = ...
check("08.4", believe)

# %% [markdown]
# That is why the rows above come in pairs. Third trap: many tests. Of a thousand attacks on noise, ten look significant at
# one in a hundred. All ciphertext cells *together* must therefore be at chance with a **family-wise** error of one in a
# billion (this lesson is run often): each p-value is multiplied by the number of cells.

# %%
fine, smallest = family_at_chance(found)
print("cells from the coordinator's seat:", sum(r.seat == COORDINATOR for r in found))
print(f"smallest p-value times their number: {smallest:.2f}; at chance together: {fine}")

# %% [markdown]
# ## 4 · The client's seat: the sum itself
#
# Encryption hides each update, but every client decrypts the *sum*. The same two attacks, from a curious client's seat:

# %% exercise="08.5" tags=["exercise"]
# One record per client. Of a victim's records, how many does a curious client still get out of the mean of K = 4 updates?
# 0: none, the mean hides them   1: about a quarter   2: nearly all
from_the_mean = ...
check("08.5", from_the_mean)

# %%
curves = five_seats.over_clients("digits", (1, 2, 4, 8, 16, 32), trials=TRIALS // 3)
print(pictures.curves_caption(curves, "K"))
pictures.curves(curves, "clients K")

# %% [markdown]
# Different records wake different units of the first layer, and a unit that only one record wakes gives it away, in a sum
# too. More clients and larger batches help; encryption does not change this seat at all.
#
# ## 5 · Two seats that talk

# %%
for threshold, scheme in ((1, "bfv-lean"), (2, "bfv-threshold")):
    r = run("record", COALITION, scheme=scheme, threshold=threshold, trials=5)
    print(
        f"coordinator + client, {threshold}-of-5: {r.value:.0f} dB ({r.low:.0f} to {r.high:.0f}), guessing {r.prior:.0f}"
    )

# %% exercise="08.6" tags=["exercise"]
# Which single change takes the coalition of coordinator and one client back to chance?
# 0: more clients   1: larger keys   2: collective custody with t ≥ 2   3: an auditor
remedy = ...
check("08.6", remedy)

# %% [markdown]
# ## 6 · The fifth seat: whoever gets the model
#
# No message, no key: the finished model alone. It is surer of records that it was trained on (Yeom et al. 2018).

# %%
r = run("loss", USER)
print(f"membership from the loss: AUC {r.value:.2f} ({r.low:.2f} to {r.high:.2f}), a coin: {r.prior}; {r.note}")

# %% [markdown]
# Small, real, and out of encryption's reach: **differential privacy** is the remedy here, which lesson 09 explains.
#
# ## Further reading
#
# - Zhao, Mopuri, Bilen, *iDLG: Improved Deep Leakage from Gradients*, 2020.
# - Zhu, Liu, Han, *Deep Leakage from Gradients*, NeurIPS 2019.
# - Geiping et al., *Inverting Gradients: How Easy Is It to Break Privacy in Federated Learning?*, NeurIPS 2020.
# - Carlini et al., *Membership Inference Attacks From First Principles*, IEEE S&P 2022.
# - In the repository: `docs/attacks.md`, every attack with its source and what it reaches.
#
# Next: lesson 09, what encryption does not stop.
