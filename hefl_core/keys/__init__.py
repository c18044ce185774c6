"""Who holds which key: roster, epochs, custody, sealing, ceremonies, the service and its store."""
