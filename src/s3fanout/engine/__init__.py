"""The imperative shell: takes events in, works jobs off, writes down what became of them."""
