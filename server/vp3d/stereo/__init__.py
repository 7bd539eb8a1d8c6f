"""Two and more calibrated views of one scene: triangulation, and networks that look at all views together."""
