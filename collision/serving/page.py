"""The page as it comes; ``assets/`` fills it with what it is told."""

from __future__ import annotations

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Collisions ahead</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/serve.css">
</head><body>
<main>
<h1>Collisions ahead</h1>
<p class="muted">Risk of a collision over the time of dashcam clips. Clips stay on the machine that
serves this page, and are removed with their card.</p>
<noscript><p class="warning">This page needs JavaScript.</p></noscript>
<p id="trouble" class="warning" role="alert" hidden></p>
<section aria-labelledby="clips">
<h2 id="clips">Clips</h2>
<div id="drop">
<div class="controls">
<label>predicted by<select id="run"></select></label>
<label>clips<input id="files" type="file" multiple accept="video/*,.mkv,.ts,.avi"></label>
<label class="check"><input id="overlay" type="checkbox">also paint an overlay</label>
<label class="check"><input id="heatmap" type="checkbox">also show where it looked (slow)</label>
</div>
<p class="muted">Or drop clips here. <span id="limits"></span></p>
</div>
<div class="controls" id="tools" hidden>
<label>name contains<input id="find" type="search"></label>
<label>shown<select id="only">
<option value="all">all clips</option><option value="on">going on</option>
<option value="alarm">with an alarm</option><option value="quiet">without</option>
<option value="failed">failed or cancelled</option></select></label>
<label>sorted by<select id="order">
<option value="new">newest</option><option value="risk">highest risk</option>
<option value="name">name</option></select></label>
<span id="count" role="status"></span>
</div>
<ul class="legend" id="key" hidden><li><i class="line c0"></i>risk: probability of a collision</li>
<li><i class="line dotted c0"></i>risk from part of what it looks at</li>
<li><i class="line dashed c1"></i>threshold</li><li><i class="band c4"></i>alarm</li></ul>
<div id="cards" class="cards"></div>
</section>
<section aria-labelledby="runs">
<h2 id="runs">Runs</h2>
<div class="scroll" role="region" aria-label="table of runs" tabindex="0"><table>
<thead><tr><th scope="col">compare</th><th scope="col">run</th><th scope="col">data set</th>
<th scope="col" class="n">mAP [95 % interval]</th><th scope="col" class="n">chance</th>
<th scope="col">made</th></tr></thead>
<tbody id="table"></tbody></table></div>
<div class="controls"><button id="compare" type="button" disabled>Compare</button>
<span class="muted">Choose two or more; the first is what the others are set against.</span></div>
<div id="comparisons" class="cards"></div>
</section>
</main>
<script type="module" src="/assets/serve.js"></script>
</body></html>
"""
