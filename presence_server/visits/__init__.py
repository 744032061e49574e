"""Who was in which room from when until when, for as long as that is kept."""
