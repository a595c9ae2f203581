"""The colours of all pictures and pages."""

BASE, TILTED, BEST, ESS, LOG_Z, RESAMPLED = "#64748b", "#2563eb", "#b45309", "#0f766e", "#7c3aed", "#dc2626"
# families of particles: neighbours differ in lightness too, for people who see no hues
FAMILIES = (TILTED, "#fbbf24", ESS, "#f9a8d4", LOG_Z, "#86efac", RESAMPLED, "#7dd3fc")
EXTINCT = ("#e2e8f0", "#cbd5e1")  # families that die out are paler than all others
INK, FAINT = "#0f172a", "#475569"
