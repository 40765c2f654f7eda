"""A browser in plain words, for people who look at where they signed in from."""

from __future__ import annotations

# The first that is found names it: those that pretend to be another stand before the one they pretend to be.
_BROWSERS = (
    ("wxwork", "企业微信"), ("MicroMessenger", "微信"), ("DingTalk", "钉钉"), ("QQBrowser", "QQ 浏览器"),
    ("360SE", "360 浏览器"), ("QIHU", "360 浏览器"), ("MetaSr", "搜狗浏览器"), ("UCBrowser", "UC 浏览器"),
    ("HuaweiBrowser", "华为浏览器"), ("MiuiBrowser", "小米浏览器"), ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox", "Firefox"),
    ("Chrome", "Chrome"), ("CriOS", "Chrome"), ("Safari", "Safari"), ("Trident", "Internet Explorer"), ("MSIE", "Internet Explorer"),
)
_SYSTEMS = (
    ("OpenHarmony", "HarmonyOS"), ("HarmonyOS", "HarmonyOS"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"),
    ("Windows", "Windows"), ("Mac OS X", "macOS"), ("UOS", "统信 UOS"), ("Kylin", "银河麒麟"), ("Linux", "Linux"),
)


def in_words(user_agent: str) -> str:
    """"Chrome（Windows）", or nothing where the browser does not say."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "")
    return f"{browser}（{system}）" if browser and system else browser or system
