"""Start."""

import streamlit as st

from pages.parts.words import _

st.title(_("What leaves the hospital?"))
