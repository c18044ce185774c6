# %% [markdown]
# # 07 · What does it cost?
#
# **Goals.** You measure what encryption costs in bytes and CPU, per scheme and per party; compare with what others do;
# forecast a round before you run it; and say what breaks first when models or cohorts grow.
#
# **Minutes:** 45. **Prerequisites:** lessons 03 (fields, head-room), 04 (BFV, CKKS) and 05 (the round).
#
# **In the application:** [Open the page](http://localhost:8501/costs?dataset=digits&scheme=bfv-compact) *Costs*.
#
# Stuck at a question? Call `hint("07.1")`, again for the next hint.

# %%
import time

from hefl_core.terms.experiment import Experiment
from hefl_core.figures import costs as pictures
from hefl_core.measure.costs import bills, most_clients, side_by_side, with_cohort, with_model_size
from hefl_core.measure.sizes import block_count, block_sizes, round_bytes
from hefl_core.measure.specimen import Specimen, sample_update
from hefl_core.runtime.result import outlook_of
from hefl_core.runtime.launch import run_experiment
from hefl_core.schemes.registry import load_preset
from hefl_core.teaching import check, hint

import phe
import tenseal  # the peers; after hefl_core, which must load first

# %% tags=["parameters"]
FULL = False
SMALL, LARGE = 2_410, 99_530  # parameters of the two shipped models
REPEAT = 9 if FULL else 3
ROUNDS = 10 if FULL else 3
PHE_ENTRIES = 40 if FULL else 4

# %% [markdown]
# ## 1 · What to count
#
# - **Bytes up** and **down** of one client per round, headers and signatures included. The *expansion* is the upload over
#   what plain **federated averaging** (the mean of lesson 05, unencrypted) sends: float32, four bytes per parameter.
# - **CPU seconds**, not seconds on the clock: on a busy machine the clock measures the neighbours. Even CPU differs between
#   machines, so trust *ratios* of things measured in one run.
# - **Who pays**: every client encrypts and decrypts, the coordinator only adds.
#
# A ciphertext comes in **blocks**: one ring element holds N words, whether you fill them or not. In front of the update go
# two exact integers (records, and a one for the count) and a tag.

# %% exercise="07.1" tags=["exercise"]
# bfv-lean has N = 4096 words per block and 2 fields per word. How many blocks does the large model (99,530) take,
# with 3 words in front?
blocks_of_large = ...
check("07.1", blocks_of_large)

# %%
for name in ("bfv-lean", "bfv-compact", "bfv-compact-2048", "ckks-lean", "paillier-packed", "paillier-packed-3072"):
    preset = load_preset(name)
    small, large = (block_count(preset, d) for d in (SMALL, LARGE))
    bits = preset.security_bits
    print(
        f"{name:17s} {bits} bits of security, one block {block_sizes(name).fresh:6,d} bytes; blocks: {small:3d}, {large:4d}"
    )


# %% [markdown]
# Compare at equal security: `paillier-packed` has 112 bits where the others have 128. Its equal is `paillier-packed-3072`, whose
# blocks are half as large again.


# %% exercise="07.2" tags=["exercise"]
# Write the general rule for BFV: blocks of d parameters, with so many fields per word, N words per block, 3 words in front.
def blocks_needed(d, fields, degree):
    return 1


check("07.2", blocks_needed)

# %% [markdown]
# ## 2 · Predict: bytes
#
# *Seeded* presets send a short **seed** instead of the second polynomial, from which everybody derives it; they encrypt with
# the secret key, which clients have anyway under individual custody. *Compact* ones have narrow fields.

# %% exercise="07.3" tags=["exercise"]
# Which of these is the smallest upload for the large model?
# 0: no encryption, float32   1: ckks-lean   2: paillier-packed   3: bfv-compact-seeded
prediction = ...
check("07.3", prediction)

# %%
ROW = (
    *("plaintext", "ckks-tutorial", "ckks-nvflare", "ckks-lean", "bfv-threshold", "bfv-lean", "bfv-compact"),
    *("bfv-compact-2048", "bfv-compact-seeded", "bfv-compact-2048-seeded", "paillier-packed"),
)
print(f"{'upload / float32':24s} {'small':>7s} {'large':>7s}   value bits for 5 clients")
for name in ROW:
    one = Experiment(scheme=name)
    small, large = (round_bytes(one, d).up / (4 * d) for d in (SMALL, LARGE))
    width = getattr(load_preset(name), "field_bits", 0)
    print(
        f"{name:24s} {small:7.2f} {large:7.2f}   {width - (5 - 1).bit_length() if width else 'approximate or float32'}"
    )

# %% [markdown]
# An encrypted upload *below* plain float32: not because encryption compresses, but because quantising does. The honest
# comparison quantises the plaintext too. A small model pays for words that stay empty, so the preset with the
# smaller ring wins there.
#
# How far does it go? Two moves make the upload small. *Few bits*: a public **rotation** spreads each large entry over many, so
# that three bits for a number train as well as float32; fields share a word without a bit to spare. A *one-time key*
# (`onetime`): each client hides its numbers under a fresh key, one polynomial per block in every custody, and only the sum
# of these keys is opened. The last column divides by plaintext **at the same number of bits**, which stays smaller.

# %%
MILLION, FEW = 1_000_000, 3
print(f"{'bytes per parameter':28s} {'d = 99,530':>10s} {'d = 10^6':>9s} {f'of plain {FEW} bits':>16s}")
print(f"{'float32':28s} {4:10.2f} {4:9.2f} {32 / FEW:16.1f}")
print(f"{f'plaintext at {FEW} bits':28s} {FEW / 8:10.2f} {FEW / 8:9.2f} {1:16.1f}")
for name, custody in (
    *(("bfv-compact", "individual"), ("bfv-compact-seeded", "individual"), ("onetime", "individual")),
    *(("bfv-threshold", "3-of-5"), ("onetime", "3-of-5")),
):
    job = Experiment(scheme=name, custody=custody, bits=FEW, rotate=True)
    at_large, at_million = (round_bytes(job, d).up / d for d in (LARGE, MILLION))
    print(f"{name + ', ' + custody:28s} {at_large:10.2f} {at_million:9.2f} {8 * at_million / FEW:16.1f}")

# %% [markdown]
# The price of a one-time key: a client that loses it cannot answer again in that round, and a key used twice gives away the
# difference of two updates (`hefl attack key-reuse` shows it). It rests on assumptions that `docs/threat_model.md` names.
#
# ## 3 · Predict: CPU, and the peers
#
# What would you have without this library? Two common ways: TenSEAL as its tutorials show it (`ckks_vector`, N = 8192, four
# primes); NVFlare ships TenSEAL with smaller parameters and a symmetric key. And `phe`, one value per ciphertext.

# %% exercise="07.4" tags=["exercise"]
# Client's CPU for encrypting and decrypting: the tutorial way compared with bfv-compact?
# 0: about the same   1: about twice as much   2: more than five times as much
prediction = ...
check("07.4", prediction)


# %%
def cpu_ns(work, parameters, repeat=REPEAT):
    """Least CPU of a few tries, in nanoseconds per parameter."""
    took = []
    for _ in range(repeat):
        begin = time.process_time_ns()
        work()
        took.append(time.process_time_ns() - begin)
    return min(took) / parameters


def by_tenseal(primes, kind):
    """Encrypt, serialise, decrypt with bare TenSEAL: (CPU ns and bytes per parameter)."""
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=primes, encryption_type=kind)
    context.global_scale, update, sizes = 2**40, sample_update(LARGE), []
    pieces = [update[start : start + 4096].tolist() for start in range(0, LARGE, 4096)]

    def work():
        raw = [tenseal.ckks_vector(context, piece).serialize() for piece in pieces]
        sizes.append(sum(map(len, raw)))
        for piece in raw:
            tenseal.ckks_vector_from(context, piece).decrypt()

    return cpu_ns(work, LARGE), sizes[-1] / LARGE


def by_phe():
    """One number per ciphertext below n², as the examples of phe have it."""
    public, secret = phe.generate_paillier_keypair(n_length=2048)
    few = sample_update(PHE_ENTRIES).tolist()
    took = cpu_ns(lambda: [secret.decrypt(public.encrypt(value)) for value in few], PHE_ENTRIES)
    return took, 2 * 2048 / 8


def by_us(name):
    """The same with one of our presets, labels and every check included."""
    specimen, update, sizes = Specimen.make(name), sample_update(LARGE), []

    def work():
        vector = specimen.encrypt(update)
        sizes.append(vector.nbytes)
        specimen.decrypt(vector)

    return cpu_ns(work, LARGE), sizes[-1] / LARGE


# %%
kinds = tenseal.ENCRYPTION_TYPE
found = {
    "TenSEAL as in its tutorial": by_tenseal([60, 40, 40, 60], kinds.ASYMMETRIC),
    "TenSEAL as in NVFlare": by_tenseal([60, 40, 40], kinds.SYMMETRIC),
    "phe, value by value": by_phe(),
} | {name: by_us(name) for name in ("ckks-lean", "bfv-lean", "bfv-compact", "bfv-compact-seeded")}
base = found["TenSEAL as in its tutorial"][0]
print(f"{'encrypt + decrypt':28s} {'CPU ns':>12s} {'tutorial / it':>14s} {'bytes':>8s}   per parameter")
for name, (ns, size) in found.items():
    print(f"{name:28s} {ns:12,.0f} {base / ns:14.4g} {size:8.1f}")

# %% [markdown]
# Why: fewer and smaller primes (sums need no multiplications, and so no room for them), two to four values per word instead
# of half a value, and no time lost on compressing ciphertexts, which look random and do not compress. Whole runs of NVFlare, Flower and TensorFlow Federated on
# one job need environments of their own: `make bench-peers`, with its table in `docs/performance.md`, which also says where
# targets were missed. One rival needs no key that decrypts: *SecAgg+* (Flower) hides updates behind masks that
# cancel in the sum. It has keys of another kind: a key pair per client, a secret of each pair of neighbours, and shares of both
# among clients, so that masks of clients that dropped out can be removed. It sends less than our lean preset, for the small
# and for the large model, but its server learns the sum; ours does not.
#
# ## 4 · Forecast, then measure
#
# Bytes can be known before a round is run: messages are written down and weighed. CPU comes from a *calibration*, a few
# small rounds on this very machine.

# %%
job = Experiment(dataset="digits", clients=5, rounds=ROUNDS, scheme="bfv-compact")
result = run_experiment(job)
said = outlook_of(result)
for what, guess, came in (
    ("bytes up", said.forecast.bytes_up, said.measured.bytes_up),
    ("bytes down", said.forecast.bytes_down, said.measured.bytes_down),
    ("CPU ms of all parties", 1000 * said.forecast.cpu.total, 1000 * said.measured.cpu.total),
):
    print(f"{what:22s} forecast {guess:10,.1f}   measured {came:10,.1f}")
for bill in bills(said.forecast):
    print(
        f"{bill.party:16s} sends {bill.sent:8,d}, receives {bill.received:8,d} bytes, {1000 * bill.cpu_seconds:.2f} ms CPU"
    )

# %% [markdown]
# Did the narrow fields cost accuracy? Train the same job without encryption, from the same start:

# %%
plain = run_experiment(job.but(scheme="plaintext"))
for name, one in (("bfv-compact", result), ("plaintext", plain)):
    print(f"{name:12s}", [round(entry.accuracy, 3) for entry in one.rounds])
print("largest error of a mean:", f"{max(entry.max_abs_error for entry in result.rounds):.1e}")

# %% [markdown]
# ## 5 · Growing

# %% exercise="07.5" tags=["exercise"]
# The cohort grows from 5 to 10 clients, fields stay as wide. What happens to ONE client's upload?
# 0: it stays nearly the same   1: it doubles   2: it grows by half
prediction = ...
check("07.5", prediction)

# %%
grown = with_cohort(job, "bfv-compact", SMALL, cohorts=(5, 10, 16))
for k, up, cpu in zip(grown.at, grown.bytes_up, grown.cpu_seconds, strict=True):
    print(f"K = {k:2d}: one upload {up:,} bytes, CPU of all parties {1000 * cpu:.1f} ms per round")
wide = with_model_size(job, "bfv-compact", sizes=(1_000, 10_000, 100_000, 1_000_000))
for d, up, cpu in zip(wide.at, wide.bytes_up, wide.cpu_seconds, strict=True):
    print(f"d = {d:9,d}: one upload {up:12,d} bytes ({up / d:5.2f} per parameter), CPU {1000 * cpu:8.1f} ms per round")
fits = {name: most_clients(name) for name in ("bfv-compact", "paillier-packed", "bfv-lean", "ckks-threshold")}
print("clients that fit:", fits)
lines = [wide, *(with_model_size(job, name, wide.at) for name in ("bfv-lean", "plaintext"))]
print(pictures.growth_caption(lines, "bytes", "d"))
pictures.growth(lines, "bytes", "d")

# %% [markdown]
# Head-room stops a **cohort** (the clients of one round) first, not speed: a preset knows how many terms its sums may
# have. Beyond it, wider fields or a larger ring are needed. With the model everything is linear, once blocks are full.
#
# ## 6 · Choosing

# %% exercise="07.6" tags=["exercise"]
# Five hospitals want that no single one of them can decrypt (three must come together), and a tag against forged sums.
# 0: bfv-compact-seeded   1: ckks-threshold   2: bfv-threshold   3: ckks-nvflare
choice = ...
check("07.6", choice)

# %%
together = Experiment(scheme="bfv-threshold", custody="3-of-5", clients=5)
candidates = ("bfv-compact-seeded", "ckks-threshold", "bfv-threshold", "ckks-nvflare")
for name in candidates:
    preset = load_preset(name)
    print(f"{name:20s} can be shared out: {preset.collective!s:5s}  carries a tag: {preset.tagged}")
compared = side_by_side(together, LARGE, ("plaintext", "bfv-lean", "bfv-threshold"))
print(pictures.schemes_caption(compared))
pictures.schemes(compared, "bytes")

# %% [markdown]
# Holding the key together costs a larger ring: each partial decryption is flooded with noise so that it says nothing about
# the share (lesson 06), and that noise needs room.
#
# ## Further reading
#
# - Zhang et al., *BatchCrypt*, USENIX ATC 2020: the same accounting for Paillier.
# - NVIDIA FLARE, *Homomorphic encryption* in its documentation; TenSEAL (Benaissa et al. 2021, arXiv 2104.03152).
# - Bell et al., *Secure Single-Server Aggregation with (Poly)Logarithmic Overhead*, CCS 2020 (SecAgg+): masks in place of a decryption key.
# - In the repository: `docs/performance.md`, `docs/scale.md`; `hefl_core/measure/forecast.py`.
#
# Next: lesson 08 sits down in five seats and attacks.
