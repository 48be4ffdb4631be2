"""Train the model: `data/train.bin` in, `model.safetensors` out. Runs in a sandbox."""

import charlm
import gpt

if __name__ == "__main__":
    charlm.save(gpt.train(), charlm.OUT)
