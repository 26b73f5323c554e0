"""The catalogue in the national form: the core metadata of the 政务信息资源目录编制指南（试行）, as JSON.

The guide names the elements and not a file format; the hub's own schema, where it has one, is an
adapter's business. One element a key, in the guide's words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from eldex.exchange.domain.catalogue import (
    Item,
    PersonalInformation,
    Resource,
    SharingClass,
    SharingMode,
    UpdateCycle,
)

GUIDE: Final = "政务信息资源目录编制指南（试行）（发改高技〔2017〕1272号）"
CLASSES: Final = {
    SharingClass.UNCONDITIONAL: "无条件共享",
    SharingClass.CONDITIONAL: "有条件共享",
    SharingClass.NOT_SHARED: "不予共享",
}
_MODES: Final = {SharingMode.SERVICE: "服务接口调用", SharingMode.VERIFICATION: "查询核验"}
_CYCLES: Final = {
    UpdateCycle.REAL_TIME: "实时",
    UpdateCycle.MONTHLY: "每月",
    UpdateCycle.YEARLY: "每年",
    UpdateCycle.AS_NEEDED: "不定期",
}
_PERSONAL: Final = {
    PersonalInformation.NONE: "",
    PersonalInformation.PERSONAL: "个人信息",
    PersonalInformation.SENSITIVE: "敏感个人信息",
}
_TYPES: Final = {
    "fen": "货币型Y",
    "bool": "逻辑型L",
    "google.type.Date": "日期型D",
    "google.protobuf.Timestamp": "日期时间型T",
    "bytes": "二进制型B",
    "string": "字符型C",
}
_NUMBERS: Final = frozenset({"int32", "int64", "uint32", "uint64", "float", "double", "sint32"})


def exported(city: str, resources: Sequence[Resource], today: date) -> bytes:
    """The whole document; the same catalogue on the same day gives the same bytes."""
    document = {
        "编制依据": GUIDE,
        "行政区划代码": city,
        "导出日期": today.isoformat(),
        "信息资源": [_resource(each) for each in resources],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def type_zh(type_: str) -> str:
    """数据类型 in the guide's words."""
    inner = type_.removeprefix("repeated ")
    name = _TYPES.get(inner) or ("数值型N" if inner in _NUMBERS else "字符型C")
    return f"{name}（多值）" if inner != type_ else name


def _resource(resource: Resource) -> dict[str, Any]:
    found = resource.description
    class_, number = found.code.split("/")
    return {
        "信息资源分类": {"类": class_[:1], "项": class_[1:3], "目": class_[3:], "细目": number},
        "信息资源名称": found.name_zh,
        "信息资源代码": found.code,
        "信息资源提供方": found.provider.name_zh or found.provider.member,
        "信息资源提供方代码": found.provider.credit_code,
        "信息资源摘要": found.abstract,
        "信息资源格式": "服务接口（gRPC、protobuf）",
        "信息项信息": [_item(item) for item in found.items],
        "共享属性": {
            "共享类型": CLASSES[resource.sharing_class],
            "共享条件": found.conditions,
            "共享方式": _MODES[found.mode],
        },
        "开放属性": {"是否向社会开放": "是" if found.open_to_public else "否"},
        "更新周期": _CYCLES[found.update_cycle],
        "发布日期": resource.published_on.isoformat(),
        "版本": resource.release,
        "版本日期": resource.changed_on.isoformat(),
        "关联资源代码": [],
    }


def _item(item: Item) -> dict[str, str]:
    return {
        "信息项名称": item.name_zh,
        "数据类型": type_zh(item.type),
        "共享类型": CLASSES[item.sharing_class],
        **(
            {"个人信息": _PERSONAL[item.personal_information]}
            if item.personal_information is not PersonalInformation.NONE
            else {}
        ),
        **({"不予共享依据": item.law} if item.law else {}),
    }
