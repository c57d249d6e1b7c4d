"""Training by the paper's recipe: `audiocodec train`; nothing outside lab and cli imports it."""
