# %% [markdown]
# # 01 · What a model update gives away
#
# **You will be able to** say what a client of federated learning sends, take a patient's record out of one plain update
# with a single division, and say what changes when the update is encrypted and what does not.
#
# **Time** 35 minutes. **Before** nothing but school mathematics and a little Python.
#
# **In the application** [What leaves the hospital?](http://localhost:8501/?dataset=digits&scheme=bfv-lean)
#
# In *federated learning* several **clients** (here: hospitals) train one **model** together, a formula with many numbers
# that training chooses. Their records stay at home. In every **round** each client trains the model a little on its
# own records and sends only what changed: its
# **update**. A **coordinator** averages the updates and sends the better model back (McMahan 2017).
# "The data never leave the hospital" is true. Is that enough?

# %%
import numpy as np

from hefl_core.figures.ciphertext import byte_heat, heat
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.teaching import check, hint
from hefl_core.vectors import flatten, unflatten

# %% tags=["parameters"]
FULL = False
RECORDS = 200 if FULL else 40

# %% [markdown]
# ## One record, one update
# Our "hospital" holds pictures of handwritten digits, 8 × 8 pixels each, which is easier to judge by eye than blood
# values. The model is a small network: 64 inputs, one **hidden layer** of 32 units, 10 outputs, one for each digit.

# %%
data = load_dataset("digits")
model = model_for_dataset("mlp", data)
theta = model.init(b"lesson 01")
record = data.train.features[0].astype(np.float64)
print("arrays of the model:", model.shapes)
print("parameters:", model.parameters)

# %% [markdown]
# A **parameter** is one of the model's numbers, 32 bits in floating point. The update has one number for each of them.

# %% exercise="01.1" tags=["exercise"]
# How many bytes does one client send per round when nothing is encrypted?
answer = ...
check("01.1", answer)

# %% [markdown]
# Now the client trains. It computes the **gradient**: for every parameter, how fast the error grows when this parameter
# grows. The update is the gradient times a small positive number, the **learning rate**, with the sign turned round: it goes
# against the gradient, so that the error shrinks.

# %%
LEARNING_RATE = 0.1


def train_on(rows):
    """The update that training once on these rows of the data set gives."""
    arrays = unflatten(theta, model.shapes)
    _, gradient = loss_and_gradient(model, arrays, data.train.features[rows], data.train.labels[rows])
    return -LEARNING_RATE * flatten(gradient).astype(np.float64)


update = train_on([0])
print(f"{len(update)} numbers; the first that are not 0:", update[update != 0][:6].round(5))
heat(0.5 + update / (2 * abs(update).max()))

# %% [markdown]
# Specks and stripes, but no digit to be seen. Before you go on, take a guess.

# %% exercise="01.2" tags=["exercise"]
# The coordinator sees only this update. What can it find out about the one record behind it?
# 0: nothing, a gradient is a summary   1: only which digit it was   2: every pixel, up to rounding
answer = ...
check("01.2", answer)

# %% [markdown]
# ## One division
# Write $x$ for the record and $L$ for the error, and look at the first layer. Unit $i$ computes $z_i = \sum_k x_k W_{ki} + b_i$. By the chain
# rule the error's gradient $\delta_i = \partial L / \partial z_i$ enters twice:
#
# $$\frac{\partial L}{\partial W_{ki}} = x_k\,\delta_i \qquad\qquad \frac{\partial L}{\partial b_i} = \delta_i$$
#
# Divide the left by the right, and $\delta_i$ is gone: **what remains is $x_k$, the record itself** (Phong 2018,
# section 3). The learning rate stands above and below and cancels too. So one *unit* with $\delta_i \neq 0$ suffices.


# %% exercise="01.3" tags=["exercise"]
def reconstruct(update):
    """The record, as an array of 64 pixels. Hint: unflatten(update, model.shapes) gives [W1, b1, W2, b2]."""
    return np.zeros(64)


check("01.3", reconstruct)

# %% [markdown]
# The same in the library, and both pictures side by side: left the record, right what the update gave.


# %%
def by_division(update):
    weights, bias = unflatten(update, model.shapes)[:2]
    unit = np.argmax(abs(bias))
    return weights[:, unit] / bias[unit]


found = by_division(update)
print("largest difference in any pixel:", f"{abs(found - record).max():.1e}")
side_by_side = np.hstack([record.reshape(8, 8), np.full((8, 1), 0.5), found.reshape(8, 8)]).repeat(3, 0).repeat(3, 1)
heat(np.pad(side_by_side, ((0, 0), (6, 7)), constant_values=0.5).ravel())

# %% [markdown]
# ## Is a batch safe?
# Clients train on **batches** of several records, and the update holds the mean. Then the division gives a mixture of
# the records that excite the unit. We measure how alike the mixture and the nearest of the batch's records are. A
# **correlation** of 1 is the same picture. As all digits resemble each other a little, and the best of many matches is
# always good, we print beside it what a picture from *outside* the batch reaches: that is chance.

# %%
typical = data.train.features.mean(axis=0)


def likeness(guess, rows):
    return max(np.corrcoef(guess - typical, data.train.features[row] - typical)[0, 1] for row in rows)


for size in (1, 2, 8, 32):
    batches = [np.arange(start, start + size) for start in range(RECORDS)]
    hits = [likeness(by_division(train_on(rows)), rows) for rows in batches]
    chance = [likeness(data.train.features[-1 - start], rows) for start, rows in enumerate(batches)]
    print(
        f"batch of {size:2}: likeness {np.mean(hits):.2f} (chance {np.mean(chance):.2f}), "
        f"record found exactly {np.mean(np.array(hits) > 0.999):.0%}"
    )

# %% [markdown]
# Larger batches blur this *simplest* attack. That is luck, not protection: searching for the records that would make
# the same gradient (Zhu 2019; Geiping 2020) or a coordinator that plants a suitable model (Fowl 2022) gets batches too.
# Lesson 08 runs them.

# %% exercise="01.4" tags=["exercise"]
# A hospital says: "We train on batches of 32, so our updates need no encryption." What is the best reply?
# 0: right, the mixture cannot be undone   1: wrong, that this attack fails says nothing about other attacks
# 2: right, if the coordinator is slow   3: wrong, batches make the division more exact
answer = ...
check("01.4", answer)

# %% [markdown]
# ## The same update, encrypted
# With **homomorphic encryption** the client sends a **ciphertext**. The coordinator adds ciphertexts without being able
# to open any of them; only the holders of the **secret key** open the *sum*. Here is our update in **BFV**, one such
# **scheme** (lesson 04), and the same division on what the coordinator then sees.

# %%
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

scheme = open_scheme("bfv-lean")
public, secret_shares = scheme.keygen(Quorum(1, 5))  # any one of five clients opens sums alone
ciphertext = scheme.encrypt(public, update, max_terms=5)  # at most five ciphertexts will be added
seen = np.frombuffer(b"".join(ciphertext.blocks), np.uint8)[256:]  # behind the header of its format
read = np.resize(seen.view(np.int8), update.shape).astype(np.float64)
print(f"{ciphertext.nbytes} bytes instead of {update.astype(np.float32).nbytes}")
print(
    f"correlation with the record: by division of the plain update {np.corrcoef(found, record)[0, 1]:.3f}, "
    f"of the ciphertext {np.corrcoef(by_division(read), record)[0, 1]:.3f}"
)
print(f"chance: below ±{1.96 / np.sqrt(record.size):.2f} nineteen times of twenty")
words = np.frombuffer(ciphertext.blocks[0][-(len(ciphertext.blocks[0]) // 8 * 8 - 256) :], "<u8")
byte_heat(words, scheme.preset.prime_bits[0])

# %% [markdown]
# Each number of a ciphertext fills a few bits less than its 64: the topmost byte is left out of the picture. The rest has no pattern.

# %% exercise="01.5" tags=["exercise"]
# Everybody encrypts. What does the coordinator still learn in a round?
# 0: the update of each client, but not the mean   1: who took part, when, how many and how large the messages were
# 2: nothing at all   3: the labels of each client
answer = ...
check("01.5", answer)

# %% [markdown]
# ## What you keep
# - An update is not a summary: after one step on one record it *is* the record, times a number that cancels.
# - Batches blur, they do not protect. Encryption takes the update itself from the coordinator's sight.
# - Encryption hides the updates from the *coordinator*. Whoever opens the mean sees the mean: lesson 09.
#
# Look at it live: [the same story on one patient's record](http://localhost:8501/?dataset=breast_cancer&scheme=bfv-lean),
# then [watch an encrypted round](http://localhost:8501/one_round?dataset=digits&scheme=bfv-lean).
#
# **Further reading** McMahan et al. 2017, *Communication-Efficient Learning of Deep Networks from Decentralized Data*
# ([arXiv 1602.05629](https://arxiv.org/abs/1602.05629)) · Phong et al. 2018, *Privacy-Preserving Deep Learning via
# Additively Homomorphic Encryption* ([ePrint 2017/715](https://eprint.iacr.org/2017/715)) · Zhu, Liu, Han 2019, *Deep Leakage from Gradients*
# ([arXiv 1906.08935](https://arxiv.org/abs/1906.08935)) · Geiping et al. 2020, *Inverting Gradients*
# ([arXiv 2003.14053](https://arxiv.org/abs/2003.14053))
