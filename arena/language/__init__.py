"""What a model directory says about its tokenizer and chat template, read without torch."""
