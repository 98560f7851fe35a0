// The two charts of the last hour. Chart.js comes with the admin's theme.
const Chart = window.Chart;

export class Charts {
  constructor(say) {
    const set = (name, tone) => ({ label: say(name), data: [], tone, backgroundColor: colour(tone), borderWidth: 0, barPercentage: 1, categoryPercentage: 0.9 });
    this.requests = chart("dash-requests", [set("answered", "--dash-good"), set("failed", "--dash-bad"), set("refused", "--dash-quiet")]);
    this.tokens = chart("dash-tokens", [set("tokens", "--dash-good")]);
    this.paint();
    new MutationObserver(() => this.paint()).observe(document.documentElement, { attributeFilter: ["class"] });
  }

  // Colours follow the theme, which may change under an open page.
  paint() {
    const style = getComputedStyle(document.getElementById("dashboard"));
    for (const one of [this.requests, this.tokens]) {
      for (const set of one.data.datasets) set.backgroundColor = colour(set.tone);
      for (const scale of Object.values(one.options.scales)) {
        scale.ticks.color = style.color;
        scale.grid.color = colour("--dash-grid");
      }
      one.options.plugins.legend.labels.color = style.color;
      one.update("none");
    }
  }

  draw(minutes, nameOf) {
    const first = minutes.last - minutes.answered.length + 1;
    const labels = minutes.answered.map((_, index) => nameOf(first + index));
    fill(this.requests, labels, [minutes.answered, minutes.failed, minutes.refused]);
    fill(this.tokens, labels, [minutes.tokens]);
  }
}

function colour(tone) {
  return getComputedStyle(document.getElementById("dashboard")).getPropertyValue(tone).trim();
}

function fill(one, labels, series) {
  one.data.labels = labels;
  series.forEach((data, index) => (one.data.datasets[index].data = data));
  one.update("none");
}

function chart(id, datasets) {
  const axis = (more) => ({ stacked: true, border: { display: false }, grid: {}, ticks: { maxRotation: 0, ...more } });
  return new Chart(document.getElementById(id), {
    type: "bar",
    data: { labels: [], datasets },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: { colors: { enabled: false }, legend: { display: datasets.length > 1, labels: { boxWidth: 10 } } },
      scales: {
        x: axis({ maxTicksLimit: 7, autoSkip: true }),
        y: { ...axis({ precision: 0, maxTicksLimit: 5 }), beginAtZero: true, suggestedMax: 4 },
      },
    },
  });
}
