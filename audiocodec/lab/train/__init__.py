"""Training by the paper's recipe: `audiocodec train`; an extra that the core never imports."""
