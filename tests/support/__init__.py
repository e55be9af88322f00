"""What tests need to run the GPU path without a GPU; never imported by the product."""
