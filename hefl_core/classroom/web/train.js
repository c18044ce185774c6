// Logistic regression on this phone's rows: gradient descent on softmax cross-entropy, all rows in every step.
// The model is W (features x classes) row by row, then b: the order of the Python trainer, which it follows to float32.

export function train(model, { features, labels }, classes, { local_epochs, learning_rate }) {
  const theta = Float32Array.from(model),
    rate = Math.fround(learning_rate);
  for (let epoch = 0; epoch < local_epochs; epoch++) {
    const slope = gradient(theta, features, labels, classes);
    for (let k = 0; k < theta.length; k++) theta[k] -= Math.fround(rate * slope[k]);
  }
  if (!theta.every(Number.isFinite)) throw new Error("training: the numbers ran away; try a smaller learning rate");
  return theta;
}

function gradient(theta, features, labels, classes) {
  const slope = new Float64Array(theta.length),
    bias = theta.length - classes;
  features.forEach((row, n) => {
    const probability = softmax(scores(theta, row, classes));
    probability[labels[n]] -= 1; // the slope of cross-entropy by the scores is softmax minus one-hot
    probability.forEach((upstream, c) => {
      row.forEach((value, f) => (slope[f * classes + c] += (value * upstream) / features.length));
      slope[bias + c] += upstream / features.length;
    });
  });
  return slope;
}

export function scores(theta, row, classes) {
  const out = Array.from({ length: classes }, (_, c) => theta[theta.length - classes + c]);
  row.forEach((value, f) => out.forEach((_, c) => (out[c] += value * theta[f * classes + c])));
  return out;
}

function softmax(values) {
  const top = Math.max(...values),
    powers = values.map((value) => Math.exp(value - top)); // exp cannot overflow
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

// The share of rows that the model classifies rightly.
export function accuracy(theta, { features, labels }, classes) {
  const right = features.filter((row, n) => {
    const found = scores(theta, row, classes);
    return found.indexOf(Math.max(...found)) === labels[n];
  });
  return right.length / features.length;
}

// What is encrypted and sent: the change of the model, cut to the bound that the class fixed.
export const updateOf = (before, after, bound) =>
  Array.from(after, (value, k) => Math.min(Math.max(value - before[k], -bound), bound));
