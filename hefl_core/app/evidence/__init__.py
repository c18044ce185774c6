"""A run that proves itself: one HTML file whose JavaScript checks the record in its reader's browser, as ``verify`` does."""
