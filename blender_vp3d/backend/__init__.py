"""The server as Blender sees it: where it is installed, the child process, the running job. No bpy in here."""
