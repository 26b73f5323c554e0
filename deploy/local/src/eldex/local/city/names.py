"""Names for people who do not exist, from lists of our own: surname, and given names by age."""

from __future__ import annotations

from random import Random

from eldex.common.identifiers import Sex

_SURNAMES = (
    "王王王王李李李李张张张张刘刘刘陈陈陈杨杨杨黄黄赵赵吴吴周周徐孙马朱胡郭何何高林罗罗郑梁谢宋唐唐许韩冯邓邓曹彭彭"
    "曾曾肖田董袁潘于蒋蒋蔡余余杜叶程苏魏吕丁任任沈姚卢姜崔钟谭谭陆汪范金石廖廖贾夏韦付方白邹孟熊熊秦邱江尹薛闫段雷侯龙史陶黎贺"
    "顾毛郝龚龚邵万钱严覃武戴莫孔向向汤庞冉冉符牟牟苟蒲"
)
_OLD = {
    Sex.FEMALE: [
        "秀英",
        "桂英",
        "玉兰",
        "秀兰",
        "桂兰",
        "玉英",
        "素珍",
        "淑珍",
        "桂芳",
        "秀珍",
        "玉珍",
        "淑芳",
        "秀芳",
        "桂香",
        "素华",
        "玉华",
        "淑华",
        "光珍",
        "明秀",
        "天秀",
        "正芳",
        "永秀",
        "大珍",
        "兴秀",
        "世珍",
        "朝秀",
        "显碧",
        "崇秀",
        "登芳",
        "代珍",
        "成碧",
        "学芬",
        "光碧",
        "德芳",
        "国秀",
        "素清",
        "玉清",
        "良碧",
    ],
    Sex.MALE: [
        "德明",
        "国华",
        "建国",
        "光明",
        "明德",
        "正才",
        "永福",
        "兴国",
        "世民",
        "朝安",
        "显贵",
        "崇德",
        "登科",
        "代全",
        "成林",
        "学文",
        "光荣",
        "德全",
        "国清",
        "素贵",
        "玉成",
        "良才",
        "天福",
        "大明",
        "中华",
        "少清",
        "维新",
        "家福",
        "昌明",
        "远贵",
        "定国",
        "祖德",
        "绍清",
        "传义",
        "仁和",
        "长寿",
        "先进",
        "能文",
    ],
}
_MIDDLE = {
    Sex.FEMALE: [
        "丽",
        "敏",
        "静",
        "艳",
        "娟",
        "霞",
        "燕",
        "芳",
        "萍",
        "红",
        "红梅",
        "小琴",
        "春梅",
        "晓燕",
        "建英",
        "丽华",
        "雪梅",
        "海燕",
        "国琼",
        "小红",
        "晓琴",
        "洪英",
        "秋菊",
        "志芳",
        "永琼",
        "俊兰",
        "彩云",
        "玲玲",
        "莉",
        "琼",
        "蓉",
        "群",
        "英",
        "平",
        "小兰",
        "友琼",
    ],
    Sex.MALE: [
        "伟",
        "勇",
        "军",
        "强",
        "磊",
        "涛",
        "斌",
        "波",
        "建军",
        "志强",
        "建华",
        "小军",
        "小平",
        "国强",
        "洪波",
        "海波",
        "永强",
        "晓东",
        "春林",
        "志明",
        "建平",
        "文军",
        "小龙",
        "伟",
        "刚",
        "平",
        "林",
        "川",
        "兵",
        "俊",
        "鹏",
        "超",
        "杰",
        "明",
        "小勇",
        "友明",
    ],
}
_YOUNG_FIRST = "子梓雨欣思佳一可诗浩宇俊嘉奕沐若语梦锦泽铭晨睿承书"
_YOUNG_SECOND = {Sex.FEMALE: "涵怡萱琪彤妍瑶妤然汐月悦", Sex.MALE: "轩宇豪博杰航霖恒阳凯辰昊"}


def draw_surname(rng: Random) -> str:
    """A surname, frequent ones more often."""
    return _SURNAMES[int(rng.random() * len(_SURNAMES))]


def draw_given_name(rng: Random, sex: Sex, age: int) -> str:
    """A given name as people of that age have."""
    if age < 25:
        second = _YOUNG_SECOND[sex]
        return (
            _YOUNG_FIRST[int(rng.random() * len(_YOUNG_FIRST))]
            + second[int(rng.random() * len(second))]
        )
    names = (_OLD if age >= 58 else _MIDDLE)[sex]
    return names[int(rng.random() * len(names))]
