"""The pages, each drawn inside the frame of app.py.

Until st.navigation has run once in a server, Streamlit takes a folder of this name for its older navigation, and would run a
page without the frame when the first visitor follows a deep link. The first import prevents that.
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

if PagesManager.uses_pages_directory and get_script_run_ctx(suppress_warning=True) is not None:
    PagesManager.uses_pages_directory = False
    st.rerun()
