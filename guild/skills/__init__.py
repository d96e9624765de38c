"""Skills: what can be learned, one YAML file each (seed 003: adding a skill is adding a file)."""

from guild.skills.contract import SkillClient
from guild.skills.loader import get_skill, get_trainer, list_skills, load_skill_config
from guild.skills.registry import SkillRegistry
from guild.skills.types import Batch, Sample, SkillConfig

__all__ = [
    "Batch",
    "Sample",
    "SkillClient",
    "SkillConfig",
    "SkillRegistry",
    "get_skill",
    "get_trainer",
    "list_skills",
    "load_skill_config",
]
