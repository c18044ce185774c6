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

# %% [markdown]
# ## Ein Datensatz, ein Update
# Unser „Krankenhaus“ hat Bilder handgeschriebener Ziffern, je 8 × 8 Bildpunkte; sie lassen sich mit dem Auge leichter
# beurteilen als Blutwerte. Das Modell ist ein kleines Netz: 64 Eingänge, eine **verdeckte Schicht** aus 32 Einheiten, 10
# Ausgänge, einer für jede Ziffer.

# %% [markdown]
# Ein **Parameter** ist eine der Zahlen des Modells, 32 Bit in Gleitkomma. Das Update hat eine Zahl für jeden davon.

# %% [markdown]
# Jetzt trainiert der Client. Er berechnet den **Gradienten**: für jeden Parameter, wie schnell der Fehler mit ihm wächst. Das
# Update ist der Gradient mal eine kleine positive Zahl, die **Lernrate**, mit umgekehrtem Vorzeichen: es geht gegen den
# Gradienten, damit der Fehler schrumpft.

# %% [markdown]
# Flecken und Streifen, aber keine Ziffer. Bevor Sie weitergehen: raten Sie.

# %% [markdown]
# ## Eine Division
# Sei $x$ der Datensatz und $L$ der Fehler. In der ersten Schicht berechnet Einheit $i$ den Wert $z_i = \sum_k x_k W_{ki} + b_i$. Nach der
# Kettenregel tritt der Gradient des Fehlers $\delta_i = \partial L / \partial z_i$ zweimal auf:
#
# $$\frac{\partial L}{\partial W_{ki}} = x_k\,\delta_i \qquad\qquad \frac{\partial L}{\partial b_i} = \delta_i$$
#
# Teilt man links durch rechts, ist $\delta_i$ weg: **es bleibt $x_k$, der Datensatz selbst** (Phong 2018, Abschnitt 3). Die
# Lernrate steht oben und unten und kürzt sich auch. Eine Einheit mit $\delta_i \neq 0$ genügt also.

# %% [markdown]
# Dasselbe mit der Bibliothek, und beide Bilder nebeneinander: links der Datensatz, rechts, was das Update hergab.

# %% [markdown]
# ## Schützt ein Batch?
# Clients trainieren auf **Batches** aus mehreren Datensätzen; das Update enthält den Mittelwert. Die Division ergibt dann eine
# Mischung der Datensätze, die die Einheit anregen. Wir messen, wie ähnlich die Mischung dem nächsten Datensatz des Batches ist.
# Eine **Korrelation** von 1 ist dasselbe Bild. Weil sich alle Ziffern ein wenig ähneln und der beste von vielen Treffern immer
# gut ist, drucken wir daneben, was ein Bild von *außerhalb* des Batches erreicht: das ist Zufall.

# %% [markdown]
# Größere Batches verwischen diesen *einfachsten* Angriff. Das ist Glück und kein Schutz: die Suche nach Datensätzen mit
# demselben Gradienten (Zhu 2019; Geiping 2020) oder ein Koordinator, der ein passendes Modell unterschiebt (Fowl 2022), holt
# auch Batches. Lektion 08 führt sie vor.

# %% [markdown]
# ## Dasselbe Update, verschlüsselt
# Mit **homomorpher Verschlüsselung** sendet der Client ein **Chiffrat**. Der Koordinator addiert Chiffrate, ohne eines
# öffnen zu
# können; nur die Halter des **geheimen Schlüssels** öffnen die *Summe*. Hier ist unser Update in **BFV**, einem
# solchen **Verfahren** (Lektion 04), und dieselbe Division auf dem, was der Koordinator dann sieht.

# %% [markdown]
# Jede Zahl eines Chiffrats füllt ein paar Bits weniger als ihre 64: ihr oberstes Byte fehlt im Bild. Der Rest hat kein Muster.

# %% [markdown]
# ## Was bleibt
# - Ein Update ist keine Zusammenfassung: nach einem Schritt auf einem Datensatz *ist* es der Datensatz, mal eine Zahl, die sich kürzt.
# - Batches verwischen, sie schützen nicht. Verschlüsselung nimmt dem Koordinator das Update aus den Augen.
# - Sie verbirgt die Updates vor dem *Koordinator*. Wer den Mittelwert öffnet, sieht den Mittelwert: Lektion 09.
#
# Live: [dieselbe Geschichte an einem Patienten](http://localhost:8501/?dataset=breast_cancer&scheme=bfv-lean&language=de), dann
# [eine verschlüsselte Runde](http://localhost:8501/one_round?dataset=digits&scheme=bfv-lean&language=de).
#
# **Zum Weiterlesen** McMahan et al. 2017 ([arXiv 1602.05629](https://arxiv.org/abs/1602.05629)) · Phong et al. 2018
# ([ePrint 2017/715](https://eprint.iacr.org/2017/715)) · Zhu, Liu, Han 2019 ([arXiv 1906.08935](https://arxiv.org/abs/1906.08935)) ·
# Geiping et al. 2020 ([arXiv 2003.14053](https://arxiv.org/abs/2003.14053))
