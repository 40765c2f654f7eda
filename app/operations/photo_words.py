"""What is said of photos and archives: each fault is kept as a code and worded for whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _


def kind_names() -> dict[str, str]:
    """The kinds in the person's words."""
    return {"portrait": _("寸照"), "id_front": _("身份证正面照")}


def picture_reason(code: str, args: Mapping[str, Any]) -> str:
    """What is wrong with a picture, and what to do (codes of `PictureFault`)."""
    return {
        "too_big": _("超过 2 MB，请压缩后再上传。"),
        "not_jpeg": _("不是 JPG 图片，请另存为 JPG 后再上传。"),
        "too_small": _("尺寸太小（短边不足 %(n)s 像素），请换清晰的照片。", n=args.get("limit", "")),
        "too_many_pixels": _("像素过大，请缩小后再上传。"),
        "proportion": _("宽高比例不对（%(width)s×%(height)s），请用一寸照（25×35 毫米，约 5:7）。", width=args.get("width", ""),
                        height=args.get("height", "")),
    }.get(code, _("图片已损坏，请重新拍摄或另存后再上传。"))


def archive_reason(code: str, args: Mapping[str, Any]) -> str:
    """What is wrong with an archive as a whole, and what to do (codes of `ArchiveFault`)."""
    if code == "not_zip" and args.get("kind") in ("rar", "7z", "gzip"):
        return _("压缩包是 %(kind)s 格式，请改用 zip 格式。", kind=str(args["kind"]).upper())
    return {
        "not_zip": _("不是 zip 压缩包，请重新压缩后上传。"),
        "too_big": _("压缩包太大，请分几次上传。"),
        "unpacked_too_big": _("压缩包解开后太大，请分几次上传。"),
        "too_many_files": _("压缩包里文件太多，请分几次上传。"),
    }.get(code, _("压缩包已损坏，请重新压缩后上传。"))


def fault_reason(fault: Mapping[str, Any]) -> str:
    """Why a file of an upload was not taken, or what is to be looked at."""
    if "reason" in fault:  # of an upload before codes were kept
        return str(fault["reason"])
    code, args = str(fault.get("code", "")), fault.get("args") or {}
    if fault.get("of") == "picture":
        return picture_reason(code, args)
    if fault.get("of") == "archive":
        return archive_reason(code, args)
    return {
        "not_named_jpg": _("不是 .jpg 照片。"),
        "unknown": _("名单中没有这个身份证号。请检查文件名。"),
        "twice": _("同一人有多张照片，已采用第一张。"),
        "ordered": _("已生成订单，照片没有更换。"),
        "no_face": _("没有检测到一张清晰的正面人脸，请核对是否为本人免冠寸照。"),
        "nested_archive": _("压缩包里还有压缩包，请解开后重新压缩成一个 zip。"),
        "too_big": _("文件过大，请压缩到 2 MB 以内后再上传。"),
        "encrypted": _("压缩包设有密码，请取消密码后再上传。"),
    }.get(code, _("压缩包里的这个文件无法读取，请单独上传。"))
