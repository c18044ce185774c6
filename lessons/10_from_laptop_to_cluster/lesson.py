# %% [markdown]
# # 10 · From laptop to cluster: roles as services
#
# **Goals.** You move the parties of a round from objects to processes to services, see that the messages stay the same, kill
# one on the way, and can say what each step adds to the separation, and what it does not.
#
# **Minutes:** 40. **Prerequisites:** lesson 05 (the round); 06 (custody) helps. This lesson starts Ray, which takes some
# seconds.
#
# **In the application:** [Open the page](http://localhost:8501/system?dataset=digits&scheme=bfv-lean&clients=5) *System*: who
# lives in which process.
#
# Stuck at a question? Call `hint("10.1")`, again for the next hint.

# %%
import os
import signal
from collections import Counter
from contextlib import closing

import yaml

from hefl_core.errors import HeflError
from hefl_core.terms.experiment import Experiment
from hefl_core.runtime.run import Run
from hefl_core.ops.settings import ROLES, Settings
from hefl_core.teaching import check, hint
from hefl_core.teaching.lessons import FOLDER

# %% tags=["parameters"]
FULL = False
CLIENTS = 5
PLAN = Experiment(dataset="digits", scheme="bfv-lean", clients=CLIENTS, rounds=4 if FULL else 2)

# %% [markdown]
# ## 1 · Objects in one process
#
# In lessons 1 to 9 every party was an object in this process. That is enough to see the protocol, and no separation at all:
# whoever owns the process reads everything.

# %%
with closing(Run(PLAN)) as run:
    local = list(run.steps())
    local_models = [r.model for r in run.result().rounds]
    for host in run.hosts:
        print("process", "this one" if host.pid == os.getpid() else host.pid, "houses", ", ".join(host.parties))

# %% [markdown]
# ## 2 · Processes of their own
#
# **Ray** runs objects (*actors*) in processes, on this machine or on many (*nodes*). Coordinator, auditor and KMS always get
# a process each. On a single machine clients share: half of them, rounded up, in one process, the rest in another.

# %% exercise="10.1" tags=["exercise"]
# Five clients on a laptop: how many processes house parties?
processes = ...
check("10.1", processes)

# %%
run = Run(PLAN, "ray")
steps, remote = run.steps(), []
for sent in steps:
    if sent.position.round == 2:
        break  # its plan is out; the run waits here for section 3
    remote.append(sent)
for host in run.hosts:
    print("a process houses", ", ".join(host.parties))
first = Counter(sent.step for sent in local if sent.position.round < 2)
print("the same kinds of messages, as often:", Counter(sent.step for sent in remote) == first)
print("the same model after round 1, bit for bit:", run.result().rounds[0].model == local_models[0])

# %% [markdown]
# The protocol is written once (`hefl_core/federation/round.py`); only the *carrier* that moves letters differs. Sharing a
# process is said on the screen and in each result, because it matters: two clients in one process could read each other.
#
# ## 3 · What if one dies?

# %% exercise="10.2" tags=["exercise"]
# In round 2, right after the plan, the operating system kills a process with three clients. What happens to the training?
# 0: it stops with an error   1: they come back from their stores, or the others go on without them; no round is lost
# 2: round 2 is skipped
after_the_kill = ...
check("10.2", after_the_kill)

# %%
with closing(run):
    victim = next(host for host in run.hosts if "client-1" in host.parties)
    os.kill(victim.pid, signal.SIGKILL)
    print(
        f"killed the process of {', '.join(victim.parties)}, right after the {sent.step} of round {sent.position.round}"
    )
    remote += list(steps)
    for r in run.result().rounds:
        print(f"round {r.round}: attempt {r.attempts}, {len(r.contributors)} contributors, accuracy {r.accuracy:.3f}")
    print("the same models as before:", [r.model for r in run.result().rounds] == local_models)

# %% [markdown]
# Each party writes what it accepted and what it said into its own encrypted store *before* it answers. A process that Ray
# starts again makes its parties from those stores and says the same bytes again. A process that is stopped, not dead, says
# nothing at all: every wait has a deadline for that.
#
# ## 4 · What Ray does not separate

# %% exercise="10.3" tags=["exercise"]
# A hospital's node joins the coordinator's Ray cluster. What can whoever drives that cluster do on the hospital's node?
# 0: nothing without the hospital's key   1: see its traffic   2: run any code, and so read its data
driver_can = ...
check("10.3", driver_can)

# %% [markdown]
# A Ray cluster is *one trust domain*: a program that is sent to a node runs there. It separates for teaching, for speed, and
# inside one organisation. Between organisations the hospital must run its own program, and only *talk* to the coordinator.
#
# ## 5 · Services
#
# A **service** is one party as a program of its own: `python -m hefl_core serve ROLE`. It is told what to do by a file and
# the environment, and refuses what makes no sense before it starts:

# %%
print("roles:", ", ".join(ROLES))
for environment in ({"HEFL_PARTY": "client-2", "HEFL_HOME": "homes/client-2"}, {"HEFL_PARTY": "hospital"}):
    try:
        print(
            "client:", Settings.load("client", environment=environment).party, "with the home", environment["HEFL_HOME"]
        )
    except HeflError as error:
        print("refused:", error)

# %% [markdown]
# `compose.yaml` describes all services of one machine for a container engine: each with its own network place and its own
# **volume** (the folder that survives the container). Read it before you answer:

# %%
services = yaml.safe_load((FOLDER.parent / "compose.yaml").read_text(encoding="utf-8"))["services"]
for name, service in services.items():
    volumes = [str(v if isinstance(v, str) else v.get("source")) for v in service.get("volumes", [])]
    print(f"{name:12s} volumes {volumes or '-'} ports {service.get('ports', '-')}")

# %% exercise="10.4" tags=["exercise"]
# How many of these services publish a port to the world outside the machine (an address other than 127.0.0.1)?
published = ...
check("10.4", published)

# %% [markdown]
# The coordinator has no volume here: what it holds are ciphertexts, signatures and its own signing key, and no share of the
# secret key. Whoever takes the coordinator's machine gets what the coordinator saw.

# %% exercise="10.5" tags=["exercise"]
# Collective custody 3-of-5. Whose disks must a thief take to read one client's old upload?
# 0: the coordinator's   1: the coordinator's and one client's   2: the coordinator's and three clients'
disks = ...
check("10.5", disks)

# %% [markdown]
# Stores are encrypted, so a disk without its unlocking key (a key file, a passphrase, a hardware token) is not enough
# either. Where that key lies is the operator's decision, and the operator's duty.
#
# **Strict mode** is that for several organisations (`run --runtime strict`, `docs/strict.md`): every party makes its keys where
# it lives, calls the coordinator over TLS with certificates on *both* sides (mutual TLS), and answers only the steps on its
# own list. The coordinator can stop the run; it can run nothing at a hospital.
#
# ## 6 · What changed, and what did not
#
# | | objects | processes on Ray | services of their own |
# |---|---|---|---|
# | who can read a client's memory | whoever has the process | whoever drives the cluster | the client's operator |
# | messages, checks, promises | the same | the same | the same |
# | who starts the round | this cell | the driver | the coordinator's service |
# | good for | learning, tests | one organisation, speed | several organisations |
#
# ## Further reading
#
# - Moritz et al., *Ray: A Distributed Framework for Emerging AI Applications*, OSDI 2018.
# - Bonawitz et al., *Towards Federated Learning at Scale: System Design*, MLSys 2019.
# - In the repository: `docs/threat_model.md` (isolation) and `SECURITY.md`.
#
# This was the last lesson. The role play in `lessons/roles` lets four people be the parties.
