"""Runs inside a windowed Blender: the extension's zip from installation to removal.

`blender --factory-startup --python drive_extension.py -- ZIP CLIP RESULT.json`
"""

import sys
from pathlib import Path

archive, clip, result = sys.argv[sys.argv.index("--") + 1 :]
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
import extension_life  # noqa: E402
import in_blender  # noqa: E402

in_blender.run(extension_life.steps(archive, clip), result)
