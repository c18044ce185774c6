"""From text to rows and named columns: separator, header, edges."""
