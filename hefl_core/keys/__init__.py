"""Keys and their holders: roster, epochs, custody, sealing, ceremonies, the service and its store."""
