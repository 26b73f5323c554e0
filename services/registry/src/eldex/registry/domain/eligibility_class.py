"""The classes of people with a claim of their own (mission map §3.5)."""

from __future__ import annotations

from enum import Enum


class EligibilityClass(Enum):
    """A class (资格类别). Age is none: who is 80 or 100 is told by the birth date."""

    THREE_WITHOUTS = "three_withouts"
    """城镇“三无”"""
    DESTITUTE = "destitute"
    """特困（农村“五保”）"""
    MINIMUM_LIVING = "minimum_living"
    """低保"""
    LOW_INCOME = "low_income"
    """低收入"""
    ECONOMIC_DIFFICULTY = "economic_difficulty"
    """经济困难"""
    DEMENTIA = "dementia"
    """失智"""
    SEVERE_DISABILITY = "severe_disability"
    """重度残疾"""
    FAMILY_PLANNING_SPECIAL = "family_planning_special"
    """计划生育特殊家庭"""
    LIVING_ALONE = "living_alone"
    """独居"""
    EMPTY_NEST = "empty_nest"
    """空巢"""
    LEFT_BEHIND = "left_behind"
    """留守"""
    PREFERENTIAL_TREATMENT = "preferential_treatment"
    """优抚对象"""
    MARTYR_FAMILY = "martyr_family"
    """烈士遗属、现役军人家属"""
    DESTITUTE_WANDERER = "destitute_wanderer"
    """流浪乞讨、遭受遗弃"""
    SOJOURNER = "sojourner"
    """外埠（旅居）老年人"""
