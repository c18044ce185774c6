# %% [markdown]
# # 01 · Was ein Modell-Update preisgibt
#
# **Danach können Sie** sagen, was ein Client beim föderierten Lernen sendet, mit einer einzigen Division den Datensatz eines
# Patienten aus einem offenen Update holen, und sagen, was sich ändert, wenn das Update verschlüsselt ist, und was nicht.
#
# **Zeit** 35 Minuten. **Vorher** nichts als Schulmathematik und ein wenig Python.
#
# **In der Anwendung** [Was verlässt das Krankenhaus?](http://localhost:8501/?dataset=digits&scheme=bfv-lean&language=de)
#
# Beim *föderierten Lernen* trainieren mehrere **Clients** (hier: Krankenhäuser) gemeinsam ein **Modell**, eine Formel
# mit vielen
# Zahlen, die das Training wählt. Ihre Datensätze bleiben zu Hause. In jeder **Runde** trainiert jeder Client das
# Modell ein wenig auf seinen eigenen Daten und sendet nur, was sich
# geändert hat: sein **Update**. Ein **Koordinator** mittelt die Updates und schickt das bessere Modell zurück (McMahan 2017).
# „Die Daten verlassen das Krankenhaus nie“ ist wahr. Reicht das?

# %%
import numpy as np

from hefl_core.figures.ciphertext import heat
from hefl_core.learning.datasets import load_dataset
from hefl_core.learning.models import model_for_dataset
from hefl_core.learning.numpy_trainer import loss_and_gradient
from hefl_core.teaching import check, hint
from hefl_core.vectors import flatten, unflatten

# %% tags=["parameters"]
FULL = False
RECORDS = 200 if FULL else 40

# %% [markdown]
# ## Ein Datensatz, ein Update
# Unser „Krankenhaus“ hat Bilder handgeschriebener Ziffern, je 8 × 8 Bildpunkte; sie lassen sich mit dem Auge leichter
# beurteilen als Blutwerte. Das Modell ist ein kleines Netz: 64 Eingänge, eine **verdeckte Schicht** aus 32 Einheiten, 10
# Ausgänge, einer für jede Ziffer.

# %%
data = load_dataset("digits")
model = model_for_dataset("mlp", data)
theta = model.init(b"lesson 01")
record = data.train.features[0].astype(np.float64)
print("arrays of the model:", model.shapes)
print("parameters:", model.parameters)

# %% [markdown]
# Ein **Parameter** ist eine der Zahlen des Modells, 32 Bit in Gleitkomma. Das Update hat eine Zahl für jeden davon.

# %% exercise="01.1" tags=["exercise"]
# How many bytes does one client send per round when nothing is encrypted?
answer = ...
check("01.1", answer)

# %% [markdown]
# Jetzt trainiert der Client. Er berechnet den **Gradienten**: für jeden Parameter, wie schnell der Fehler mit ihm wächst. Das
# Update ist der Gradient mal eine kleine negative Zahl, die **Lernrate**, damit der Fehler schrumpft.

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
# Flecken und Streifen, aber keine Ziffer. Bevor Sie weitergehen: raten Sie.

# %% exercise="01.2" tags=["exercise"]
# The coordinator sees only this update. What can it find out about the one record behind it?
# 0: nothing, a gradient is a summary   1: only which digit it was   2: every pixel, up to rounding
answer = ...
check("01.2", answer)

# %% [markdown]
# ## Eine Division
# Sei $x$ der Datensatz. In der ersten Schicht berechnet Einheit $i$ den Wert $z_i = \sum_k x_k W_{ki} + b_i$. Nach der
# Kettenregel tritt der Gradient des Fehlers $\delta_i = \partial L / \partial z_i$ zweimal auf:
#
# $$\frac{\partial L}{\partial W_{ki}} = x_k\,\delta_i \qquad\qquad \frac{\partial L}{\partial b_i} = \delta_i$$
#
# Teilt man links durch rechts, ist $\delta_i$ weg: **es bleibt $x_k$, der Datensatz selbst** (Phong 2018, Abschnitt 3). Die
# Lernrate steht oben und unten und kürzt sich auch. Eine Einheit mit $\delta_i \neq 0$ genügt also.


# %% exercise="01.3" tags=["exercise"]
def reconstruct(update):
    """The record, as an array of 64 pixels. Hint: unflatten(update, model.shapes) gives [W1, b1, W2, b2]."""
    return np.zeros(64)


check("01.3", reconstruct)

# %% [markdown]
# Dasselbe mit der Bibliothek, und beide Bilder nebeneinander: links der Datensatz, rechts, was das Update hergab.


# %%
def by_division(update):
    weights, bias = unflatten(update, model.shapes)[:2]
    unit = np.argmax(abs(bias))
    return weights[:, unit] / bias[unit]


found = by_division(update)
print("largest difference in any pixel:", f"{abs(found - record).max():.1e}")
heat(
    np.hstack([record.reshape(8, 8), np.full((8, 1), 0.5), found.reshape(8, 8)])
    .repeat(4, 0)
    .repeat(4, 1)[:, :64]
    .ravel()
)

# %% [markdown]
# ## Schützt ein Batch?
# Clients trainieren auf **Batches** aus mehreren Datensätzen; das Update enthält den Mittelwert. Die Division ergibt dann eine
# Mischung der Datensätze, die die Einheit anregen. Wir messen, wie ähnlich die Mischung dem nächsten Datensatz des Batches ist.
# Eine **Korrelation** von 1 ist dasselbe Bild. Weil sich alle Ziffern ein wenig ähneln und der beste von vielen Treffern immer
# gut ist, drucken wir daneben, was ein Bild von *außerhalb* des Batches erreicht: das ist Zufall.

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
# Größere Batches verwischen diesen *einfachsten* Angriff. Das ist Glück und kein Schutz: die Suche nach Datensätzen mit
# demselben Gradienten (Zhu 2019; Geiping 2020) oder ein Koordinator, der ein passendes Modell unterschiebt (Fowl 2022), holt
# auch Batches. Lektion 08 führt sie vor.

# %% exercise="01.4" tags=["exercise"]
# A hospital says: "We train on batches of 32, so our updates need no encryption." What is the best reply?
# 0: right, the mixture cannot be undone   1: wrong, that this attack fails says nothing about other attacks
# 2: right, if the coordinator is slow   3: wrong, batches make the division more exact
answer = ...
check("01.4", answer)

# %% [markdown]
# ## Dasselbe Update, verschlüsselt
# Mit **homomorpher Verschlüsselung** sendet der Client ein **Chiffrat**. Der Koordinator addiert Chiffrate, ohne eines
# öffnen zu
# können; nur die Halter des **geheimen Schlüssels** öffnen die *Summe*. Hier ist unser Update in **BFV**, einem
# solchen **Verfahren** (Lektion 04), und dieselbe Division auf dem, was der Koordinator dann sieht.

# %%
from hefl_core.schemes.quorum import Quorum
from hefl_core.schemes.registry import open_scheme

scheme = open_scheme("bfv-lean")
public, secret_shares = scheme.keygen(Quorum(1, 5))
ciphertext = scheme.encrypt(secret_shares[0] if scheme.preset.symmetric else public, update, max_terms=5)
seen = np.frombuffer(b"".join(ciphertext.blocks), np.uint8)[256:]  # behind the header of its format
read = np.resize(seen.view(np.int8), update.shape).astype(np.float64)
print(f"{ciphertext.nbytes} bytes instead of {update.astype(np.float32).nbytes}")
print(
    f"correlation with the record: by division of the plain update {np.corrcoef(found, record)[0, 1]:.3f}, "
    f"of the ciphertext {np.corrcoef(by_division(read), record)[0, 1]:.3f}"
)
print(f"chance: below ±{1.96 / np.sqrt(record.size):.2f} nineteen times of twenty")
heat(seen / 255)

# %% exercise="01.5" tags=["exercise"]
# Everybody encrypts. What does the coordinator still learn in a round?
# 0: the update of each client, but not the mean   1: who took part, when, how many and how large the messages were
# 2: nothing at all   3: the labels of each client
answer = ...
check("01.5", answer)

# %% [markdown]
# ## Was bleibt
# - Ein Update ist keine Zusammenfassung: bei einem Datensatz *ist* es der Datensatz, mal eine Zahl, die sich kürzt.
# - Batches verwischen, sie schützen nicht. Verschlüsselung nimmt dem Koordinator das Update aus den Augen.
# - Sie verbirgt die Updates vor dem *Koordinator*. Wer den Mittelwert öffnet, sieht den Mittelwert: Lektion 09.
#
# Live: [dieselbe Geschichte an einem Patienten](http://localhost:8501/?dataset=breast_cancer&scheme=bfv-lean&language=de), dann
# [eine verschlüsselte Runde](http://localhost:8501/one_round?dataset=digits&scheme=bfv-lean&language=de).
#
# **Zum Weiterlesen** McMahan et al. 2017 ([arXiv 1602.05629](https://arxiv.org/abs/1602.05629)) · Phong et al. 2018
# ([ePrint 2017/715](https://eprint.iacr.org/2017/715)) · Zhu, Liu, Han 2019 ([arXiv 1906.08935](https://arxiv.org/abs/1906.08935)) ·
# Geiping et al. 2020 ([arXiv 2003.14053](https://arxiv.org/abs/2003.14053))
