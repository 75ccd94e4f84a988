"""What a script can display to harm who reads its record; each would set ``window.ran`` or ask for ``site.test``."""

RUN = "window.ran = 1; fetch('http://site.test/ran')"

HTML = {
    "script": f"<script>{RUN}</script>",
    "script of another site": "<script src='http://site.test/x.js'></script>",
    "module": f"<script type='module'>{RUN}</script>",
    "handler": f'<img src="x" onerror="{RUN}"><video onerror="{RUN}"><source src="x"></video>',
    "handler of a style": f'<style>@keyframes x{{}}</style><b style="animation:x 1ms" onanimationstart="{RUN}">x</b>',
    "opened": f'<details open ontoggle="{RUN}"><summary>x</summary></details>',
    "focus": f'<input autofocus onfocus="{RUN}">',
    "link": f'<a id="link" href="javascript:{RUN}">x</a><a href="jav&#9;ascript:{RUN}">x</a>',
    "document in a frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "script in a frame": f'<iframe src="javascript:parent.{RUN}"></iframe>',
    "frame": "<iframe src='http://site.test/frame'></iframe><object data='http://site.test/o'></object><embed src='http://site.test/e'>",
    "svg": f'<svg onload="{RUN}"><script>{RUN}</script><image href="http://site.test/i"/></svg>',
    "mathematics": f'<math><mtext><table><mglyph><style><!--</style><img src=x onerror="{RUN}">',
    "refresh": "<meta http-equiv='refresh' content='0;url=http://site.test/refresh'>",
    "base": "<base href='http://site.test/'><img src='picture.png'>",
    "link of a page": "<link rel='stylesheet' href='http://site.test/s.css'><link rel='prefetch' href='http://site.test/p'>",
    "names of hosts": "<link rel='dns-prefetch' href='//site.test'><link rel='preconnect' href='http://site.test'>",
    "picture": "<img src='http://site.test/i.png' srcset='http://site.test/2x.png 2x'><video poster='http://site.test/v'>",
    "style": "<style>@import 'http://site.test/s.css'; body {background: url(http://site.test/b)}</style>",
    "style of an element": "<b style='background: url(http://site.test/b); list-style: url(http://site.test/l)'>x</b>",
    "form": f'<form action="http://site.test/form"><button formaction="javascript:{RUN}">x</button></form>',
    "ends": f"</pre></div></main></body></html><script>{RUN}</script><!-- ",
    "text": f"</title></style></textarea><script>{RUN}</script><plaintext>",
}
"""HTML that a script displays, by kind."""

SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RUN}"><script>{RUN}</script></svg>'


def displays():
    """List data and metadata of what a script displays, of all types that a page could run."""
    shown = [({"text/html": text, "text/plain": kind}, {}) for kind, text in HTML.items()]
    shown += [({"text/markdown": f"# x\n\n{text}\n"}, {}) for text in HTML.values()]
    shown += [
        ({"application/javascript": RUN, "text/plain": "<Javascript>"}, {}),
        ({"application/javascript": RUN}, {}),
        ({"text/markdown": f"[x](javascript:{RUN}) ![y](http://site.test/m.png)"}, {}),
        ({"image/svg+xml": SVG}, {}),
        ({"image/png": f'x"><script>{RUN}</script>'}, {}),
        ({"image/png": "iVBO"}, {"image/png": {"width": f"1 onerror={RUN.replace(' ', '')}", "height": 2}}),
        ({"text/vnd.mermaid": f"</pre><script>{RUN}</script>"}, {}),
        ({"text/latex": f"$x$<script>{RUN}</script>"}, {}),
        ({"text/plain": f"<script>{RUN}</script>"}, {}),
    ]
    return shown
