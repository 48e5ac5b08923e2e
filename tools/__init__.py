"""What a checkout needs around the product: setting itself up, and running everything by one command."""
