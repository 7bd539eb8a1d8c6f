"""Motion of one armature onto another, whatever its bones are called and however it rests."""
