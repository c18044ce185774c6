"""First page of the application: what it is, and one encrypted round run here and now."""

import streamlit as st

from hefl_core.claims import NOT_PROMISED, check_claims
from hefl_core.federation.experiment import Experiment
from hefl_core.runtime.run import run_experiment

st.set_page_config(page_title="hefl", layout="wide")
st.title("What leaves the hospital?")
st.write("Five clients train together. Only ciphertext leaves them; the coordinator adds what it cannot read.")
rounds = st.slider("Rounds", 1, 10, 3)
if st.button("Run an encrypted training", type="primary"):
    with st.spinner("training, encrypting, adding, decrypting"):
        result = check_claims(run_experiment(Experiment(rounds=rounds)))
    st.dataframe(
        [
            {
                "round": item.round,
                "accuracy": item.accuracy,
                "error against plain FedAvg": item.max_abs_error,
                "promised bound": item.error_bound,
                "upload per client, bytes": item.bytes.upload_per_client,
            }
            for item in result.rounds
        ]
    )
    for finding in result.claims:
        (st.success if finding.holds else st.error)(f"{finding.id}: {finding.evidence}")
st.subheader("Not promised")
for sentence in NOT_PROMISED:
    st.write(sentence)
